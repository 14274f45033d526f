"""Texts of the operators' commands, and where they find the log."""

from pathlib import Path
from typing import Any

import pytest

from streams.cli.common import NotRunning
from streams.cli.ops import garbage, garbage_lines, topic_table, with_running_log
from streams.kafka.admin import TopicState
from streams.settings import Settings
from streams.settings.log import Kafka
from streams.supervisor import run_dir

GARBAGE: dict[str, Any] = {"dry_run": True, "objects": 0, "bytes": 0, "prefixes": [], "multipart_uploads": None}


def test_garbage_is_reported_with_what_becomes_of_it() -> None:
    assert garbage_lines(GARBAGE) == ["Nothing to remove."] and garbage(GARBAGE) == ""
    found = GARBAGE | {"objects": 1, "bytes": 4, "prefixes": ["assets/a/probe/1-x"], "multipart_uploads": 2}
    assert garbage_lines(found) == [
        "1 file (4 bytes) and 2 unfinished multipart uploads would be removed",
        "  assets/a/probe/1-x",
    ]
    assert garbage_lines(GARBAGE | {"dry_run": False, "multipart_uploads": 1}) == [
        "1 unfinished multipart upload removed"
    ]


def test_topics_are_listed_with_what_is_missing() -> None:
    states = [TopicState("media.events", 8, 1, -1), TopicState("media.jobs", 8, 3, None)]
    states += [TopicState("media.progress", 8, 3, 3600), TopicState("media.uploads", None, None, 30 * 86_400)]
    heads, *lines = topic_table(states)
    assert heads.split() == ["TOPIC", "STATUS", "PARTITIONS", "REPLICAS", "RETENTION"]
    assert [line.split() for line in lines] == [
        ["media.events", "ok", "8", "1", "unlimited"],
        ["media.jobs", "ok", "8", "3", "compacted"],
        ["media.progress", "ok", "8", "3", "1", "h"],
        ["media.uploads", "missing", "-", "-", "30", "d"],
    ]


def test_commands_on_the_log_find_the_broker_of_the_running_up(tmp_path: Path) -> None:
    default, settings = Settings(data_dir=str(tmp_path)), Settings(data_dir=str(tmp_path), kafka=Kafka(port=0))
    assert with_running_log(default) is default
    with pytest.raises(NotRunning, match="kinolog up"):
        with_running_log(settings)
    with run_dir.only_one(settings):
        (tmp_path / "kafka").mkdir()
        found = with_running_log(settings)
        elsewhere = Settings(data_dir=str(tmp_path), kafka=Kafka(bootstrap="log:1"))
        assert with_running_log(elsewhere) is elsewhere
    assert found.bootstrap.startswith("127.0.0.1:")

"""Texts of `kinolog queues` and `kinolog stats`."""

from typing import Any

from streams.cli.queues import queue_table, stats_lines

COUNTS = dict.fromkeys(("waiting", "queued", "active", "delayed", "completed", "failed", "cancelled", "skipped"), 0)


def test_a_paused_queue_and_one_of_unknown_executors_are_listed_as_such() -> None:
    queues: list[dict[str, Any]] = [
        {"name": "probe", "paused": False, "executors": 2, "slots": 8, "max_active": 4, **COUNTS, "queued": 3},
        {"name": "transcode", "paused": True, "max_active": None, **COUNTS, "active": 1},
        {"name": "embed", "paused": False, "reason": "no_executor", "executors": 0, "max_active": None, **COUNTS},
    ]
    heads, probe, transcode, embed = queue_table(queues)
    assert heads.split()[:7] == ["QUEUE", "STATE", "EXECUTORS", "SLOTS", "LIMIT", "QUEUED", "ACTIVE"]
    assert probe.split()[:7] == ["probe", "open", "2", "8", "4", "3", "0"]
    assert transcode.split()[:7] == ["transcode", "paused", "?", "?", "-", "0", "1"]
    assert embed.split()[:4] == ["embed", "no", "executor", "0"]


def test_statistics_show_every_pipeline_and_the_total() -> None:
    counts = {
        "jobs": {"active": 1, "failed": 2},
        "pipeline_status": {"standard": {"active": 1, "failed": 0}, "video": {"active": 0, "failed": 2}},
        "assets": {"READY": 0, "FAILED": 2},
    }
    assert [line.split() for line in stats_lines(counts)] == [
        ["PIPELINE", "ACTIVE", "FAILED"],
        ["standard", "1", "0"],
        ["video", "0", "2"],
        ["total", "1", "2"],
        [],
        ["Assets:", "2", "FAILED"],
    ]

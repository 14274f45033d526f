"""Texts of `kinolog queues` and `kinolog stats`."""

from typing import Any

from streams.cli.queues import queue_table, stats_lines

COUNTS = dict.fromkeys(("waiting", "queued", "active", "delayed", "completed", "failed", "cancelled", "skipped"), 0)


def test_a_paused_queue_and_one_of_unknown_executors_are_listed_as_such() -> None:
    queues: list[dict[str, Any]] = [
        {"name": "probe", "paused": False, "executors": 2, **COUNTS, "queued": 3},
        {"name": "transcode", "paused": True, **COUNTS, "active": 1},
    ]
    heads, probe, transcode = queue_table(queues)
    assert heads.split()[:5] == ["QUEUE", "STATE", "EXECUTORS", "QUEUED", "ACTIVE"]
    assert probe.split()[:5] == ["probe", "open", "2", "3", "0"]
    assert transcode.split()[:5] == ["transcode", "paused", "?", "0", "1"]


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

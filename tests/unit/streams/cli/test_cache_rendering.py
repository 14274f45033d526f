"""What `kinolog cache` and `kinolog gc` print for people."""

from typing import Any

import pytest

from streams.cli.cache_rendering import added, garbage_lines, size, stats_lines, whereabouts

STATS: dict[str, Any] = {"assets": {}, "jobs": {}, "bytes": 0, "hits": 0, "misses": 0, "hit_ratio": None}
GARBAGE: dict[str, Any] = {"dry_run": True, "objects": 0, "bytes": 0, "prefixes": [], "multipart_uploads": None}


def test_an_address_is_taken_or_it_is_said_why_not() -> None:
    taken = {"url": "https://a.example/a.mp4", "id": "asset_1", "status": "PENDING"}
    assert added(taken) == "asset_1  PENDING      https://a.example/a.mp4"
    refused = {"url": "ftp://a.example", "error": {"code": "invalid-input", "detail": "The address is not complete."}}
    assert added(refused) == "not taken: The address is not complete.  ftp://a.example"


@pytest.mark.parametrize(
    "found, line",
    [
        ({"status": "CACHED", "url": "/media/s/1.a/b"}, "asset_1  CACHED       http://here:1/media/s/1.a/b"),
        ({"status": "CACHED", "url": "https://bucket/b"}, "asset_1  CACHED       https://bucket/b"),
        (
            {"status": "FAILED", "url": "http://o/", "reason": "source-missing"},
            "asset_1  FAILED (source-missing)  http://o/",
        ),
        ({"status": "UNKNOWN", "url": None}, "asset_1  UNKNOWN      -"),
    ],
)
def test_an_id_is_somewhere_that_can_be_opened(found: dict[str, Any], line: str) -> None:
    assert whereabouts({"id": "asset_1", **found}, "http://here:1") == line


def test_the_cache_is_told_in_a_few_lines() -> None:
    assert stats_lines(STATS)[0] == "cached       0, 0 bytes"
    assert stats_lines(STATS)[-2:] == ["downloads    none yet", "hits         nobody has asked yet"]
    used = {"assets": {"CACHED": 3, "FAILED": 1}, "jobs": {"failed": 1, "completed": 3}, "bytes": 1_250_000}
    lines = stats_lines({**used, "hits": 3, "misses": 1, "hit_ratio": 0.75})
    assert lines[0] == "cached       3, 1.2 MB"
    assert lines[3:] == ["failed       1", "downloads    3 completed, 1 failed", "hits         75.0 % of 4 questions"]


def test_garbage_is_told_with_what_becomes_of_it() -> None:
    assert garbage_lines(GARBAGE) == ["there is nothing to remove"]
    found = GARBAGE | {"objects": 1, "bytes": 4, "prefixes": ["assets/a/probe/1-x"], "multipart_uploads": 2}
    assert garbage_lines(found) == [
        "would be removed: 1 file, 4 bytes",
        "  assets/a/probe/1-x",
        "would be removed: 2 multipart uploads that nobody ended",
    ]
    assert garbage_lines(GARBAGE | {"dry_run": False, "multipart_uploads": 1}) == [
        "removed: 1 multipart upload that nobody ended"
    ]


@pytest.mark.parametrize(
    "size_bytes, said",
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (20_000_000_000, "20.0 GB"),
        (10**17, "100000.0 TB"),
    ],
)
def test_sizes_are_said_as_people_say_them(size_bytes: int, said: str) -> None:
    assert size(size_bytes) == said

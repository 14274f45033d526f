"""Texts of `kinolog cache`."""

from typing import Any

import pytest

from streams.cli.cache import added, cache_table, resolved, stats_lines

STATS: dict[str, Any] = {"assets": {}, "jobs": {}, "bytes": 0, "hits": 0, "misses": 0, "hit_ratio": None}


def test_a_refused_url_is_printed_with_the_reason() -> None:
    taken = {"url": "https://a.example/a.mp4", "id": "asset_1", "status": "PENDING"}
    assert added(taken) == "asset_1  PENDING      https://a.example/a.mp4"
    refused = {"url": "ftp://a.example", "error": {"code": "invalid-input", "detail": "The address is not complete."}}
    assert added(refused) == "refused: The address is not complete.  ftp://a.example"


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
def test_an_id_is_resolved_to_an_absolute_url(found: dict[str, Any], line: str) -> None:
    assert resolved({"id": "asset_1", **found}, "http://here:1") == line


def test_cache_statistics_fit_into_a_few_lines() -> None:
    assert stats_lines(STATS)[0] == "cached       0, 0 bytes"
    assert stats_lines(STATS)[-2:] == ["downloads    none", "hits         no requests yet"]
    used = {"assets": {"CACHED": 3, "FAILED": 1}, "jobs": {"failed": 1, "completed": 3}, "bytes": 1_250_000}
    lines = stats_lines({**used, "hits": 3, "misses": 1, "hit_ratio": 0.75})
    assert lines[0] == "cached       3, 1.2 MB"
    assert lines[3:] == ["failed       1", "downloads    3 completed, 1 failed", "hits         75.0 % of 4 requests"]


def test_cached_files_are_listed_with_their_whole_id_and_a_url_that_fits() -> None:
    found = {"id": f"asset_{'0' * 24}", "status": "CACHED", "created_at": "2026-01-01T00:00:00.000Z"}
    long = found | {"original": f"https://example.org/{'a' * 200}.mp4", "size_bytes": 1_250_000}
    heads, line = cache_table([long], width=80)
    assert heads.split() == ["ID", "STATUS", "SIZE", "AGE", "URL"]
    assert len(line) <= 80 and found["id"] in line and "1.2 MB" in line and line.endswith("…")
    assert cache_table([]) == []

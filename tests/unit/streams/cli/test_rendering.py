"""Texts that all commands share: columns, sizes, ages, and names from outside."""

from datetime import UTC, datetime
from typing import Any

import pytest

from streams.cli.rendering import age, columns, next_page, page_url, passages, print_line, size

ROWS = [("job_0123456789", "a holiday in the mountains.mp4", "active"), ("job_9", "b.mp4", "failed")]


@pytest.mark.parametrize(
    "size_bytes, text",
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (20_000_000_000, "20.0 GB"),
        (10**17, "100000.0 TB"),
    ],
)
def test_sizes_have_a_readable_unit(size_bytes: int, text: str) -> None:
    assert size(size_bytes) == text


@pytest.mark.parametrize(
    "since, text",
    [
        ("2026-01-31T11:59:58.500Z", "1s"),
        ("2026-01-31T11:57:00.000Z", "3m"),
        ("2026-01-31T00:00:01.000Z", "11h"),
        ("2026-01-01T12:00:00.000Z", "30d"),
        ("2026-01-31T12:00:01.000Z", "0s"),
    ],
)
def test_an_age_is_one_number_and_a_unit(since: str, text: str) -> None:
    assert age(since, datetime(2026, 1, 31, 12, tzinfo=UTC)) == text


def test_only_the_named_column_is_cut_to_the_terminal_and_ids_stay_whole() -> None:
    lines = columns(("ID", "NAME", "STATUS"), ROWS, 36, cut="NAME")
    assert lines == [
        "ID              NAME          STATUS",
        "job_0123456789  a holiday i…  active",
        "job_9           b.mp4         failed",
    ]
    narrow = columns(("ID", "NAME", "STATUS"), ROWS, 10, cut="NAME")
    assert "job_0123456789" in narrow[1] and "active" in narrow[1]
    assert "a holiday in the mountains.mp4" in columns(("ID", "NAME", "STATUS"), ROWS)[1]


def test_an_empty_column_takes_no_space() -> None:
    assert columns(("ID", "CODE", "STEP"), [("a", "", "x")]) == ["ID  STEP", "a   x"]
    assert columns(("ID", "CODE"), []) == []


def test_wide_characters_keep_the_columns_aligned() -> None:
    assert columns(("NAME", "STATUS"), [("映画.mp4", "active"), ("ab.mp4", "failed")]) == [
        "NAME      STATUS",
        "映画.mp4  active",
        "ab.mp4    failed",
    ]


def test_a_file_name_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("a\x1b[2Jb\nc.mp4")
    assert capsys.readouterr().out == "a\ufffd[2Jb\ufffdc.mp4\n"
    assert columns(("NAME",), [("a\x1b[2J.mp4",)])[1] == "a\ufffd[2J.mp4"


def test_a_search_without_a_hit_says_so_and_names_what_was_left_out() -> None:
    assert passages({"data": [], "left_out": ["no model"]}) == ["No matches.", "(left out: no model)"]
    hit: dict[str, Any] = {"start_ms": 3_723_000, "end_ms": 3_730_000, "text": "Ask not.", "filename": None}
    assert passages({"data": [hit | {"asset_id": "asset_1", "job_id": "job_1"}]}) == [
        "1:02:03-1:02:10  asset_1  job_1",
        "    Ask not.",
    ]


def test_a_page_that_is_not_the_last_says_how_to_go_on() -> None:
    assert next_page({"next_cursor": None}, "kinolog jobs list") == []
    assert next_page({"next_cursor": "abc"}, "kinolog jobs list")[-1] == "More: kinolog jobs list --cursor abc"


def test_the_link_of_a_job_opens_the_page_at_it() -> None:
    assert page_url("http://127.0.0.1:8080", "job_1") == "http://127.0.0.1:8080/?q=job_1"

"""Range requests: which bytes of a file a player gets."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.http.byte_ranges import Span, Unsatisfiable, etag_matches, range_allowed, span


@pytest.mark.parametrize(
    "header, expected",
    [
        (None, None),
        ("bytes=0-", Span(0, 100)),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=10-19", Span(10, 20)),
        ("bytes=90-500", Span(90, 100)),
        ("bytes=-10", Span(90, 100)),
        ("bytes=-500", Span(0, 100)),
        ("bytes=20-10", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
    ],
)
def test_a_range_of_a_file_of_100_bytes(header: str | None, expected: Span | None) -> None:
    assert span(header, 100) == expected


@pytest.mark.parametrize("header, size", [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-5", 0)])
def test_a_range_beyond_the_file_cannot_be_served(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        span(header, size)


@given(st.integers(1, 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_served_range_always_lies_within_the_file(size: int, first: int, last: int) -> None:
    try:
        found = span(f"bytes={first}-{last}", size)
    except Unsatisfiable:
        assert first >= size
    else:
        assert found is None or 0 <= found.start < found.end <= size


def test_a_known_tag_is_recognised_also_weak_and_among_others() -> None:
    assert etag_matches('"x", W/"a"', '"a"') and etag_matches("*", '"a"')
    assert not etag_matches('"x"', '"a"') and not etag_matches(None, '"a"')


WRITTEN = datetime(2026, 1, 31, 12, 0, 0, 250_000, UTC)
LATER = datetime(2026, 1, 31, 12, 0, 2, tzinfo=UTC)
DATE = "Sat, 31 Jan 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    "header, stands",
    [
        (None, True),
        ('"a"', True),
        ('"b"', False),
        ('W/"a"', False),
        (DATE, True),
        ("Sat, 31 Jan 2026 12:00:01 GMT", False),
        ("Wed, 21 Oct 2015 07:28:00 GMT", False),
        ("2026-01-31", False),
    ],
)
def test_a_range_stands_only_for_the_very_same_file(header: str | None, stands: bool) -> None:
    assert range_allowed(header, '"a"', WRITTEN, LATER) is stands


def test_a_date_is_no_proof_while_the_file_may_change_within_its_second() -> None:
    assert not range_allowed(DATE, '"a"', WRITTEN, WRITTEN + timedelta(seconds=0.5))

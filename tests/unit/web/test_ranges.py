"""Which bytes of a file a player gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.ranges import Span, Unsatisfiable, matches, span, still


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
    assert matches('"x", W/"a"', '"a"') and matches("*", '"a"')
    assert not matches('"x"', '"a"') and not matches(None, '"a"')


def test_a_range_stands_only_for_the_very_same_file() -> None:
    assert still(None, '"a"') and still('"a"', '"a"')
    assert not still('"b"', '"a"') and not still("Wed, 21 Oct 2015 07:28:00 GMT", '"a"')

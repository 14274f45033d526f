"""Cursors survive a round trip, and no other text is accepted as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.http.cursors import InvalidCursor, LiveCursor, PageCursor, WriteCursor, dump, load, log_mark

OFFSETS = st.integers(0, 2**63 - 1)
MARK = log_mark("some cluster")


@given(st.dictionaries(st.integers(0, 1000), OFFSETS, max_size=48))
def test_a_write_cursor_comes_back_whole(offsets: dict[int, int]) -> None:
    assert load(dump(WriteCursor(MARK, offsets)), WriteCursor) == WriteCursor(MARK, offsets)


@given(st.lists(OFFSETS, max_size=48).map(tuple))
def test_a_live_cursor_comes_back_whole(offsets: tuple[int, ...]) -> None:
    assert load(dump(LiveCursor(MARK, offsets)), LiveCursor) == LiveCursor(MARK, offsets)


@given(st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=100))
def test_a_page_cursor_comes_back_to_the_last_bit(value: float, an_id: str) -> None:
    assert load(dump(PageCursor("-created_at", value, an_id)), PageCursor) == PageCursor("-created_at", value, an_id)


@given(st.text(max_size=200))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        load(text, WriteCursor)


@given(st.binary(min_size=1, max_size=60))
def test_a_cursor_that_somebody_wrote_on_is_refused(noise: bytes) -> None:
    with pytest.raises(InvalidCursor):
        load(dump(LiveCursor(MARK, (1, 2, 3))) + noise.hex(), LiveCursor)


def test_a_cursor_of_one_kind_is_not_one_of_another() -> None:
    with pytest.raises(InvalidCursor):
        load(dump(LiveCursor(MARK, (1,))), WriteCursor)


def test_a_cursor_survives_in_an_address_as_it_is() -> None:
    text = dump(LiveCursor(MARK, tuple(range(48))))
    assert text.replace("-", "").replace("_", "").isalnum()


def test_an_endless_text_is_refused_unread() -> None:
    with pytest.raises(InvalidCursor, match="too long"):
        load("A" * 10_000, LiveCursor)


@given(st.lists(st.dictionaries(st.integers(0, 3), OFFSETS, max_size=4), max_size=5))
def test_a_cursor_of_several_writes_waits_for_all_of_them(writes: list[dict[int, int]]) -> None:
    merged = WriteCursor.merge(MARK, [WriteCursor(MARK, offsets) for offsets in writes])
    assert merged.offsets.keys() == {partition for offsets in writes for partition in offsets}
    assert all(merged.offsets[partition] >= at for offsets in writes for partition, at in offsets.items())

"""Commits go to where everything was acknowledged or skipped, and never beyond what is still being worked on."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.worker.commit_offsets import _add_gap, _new_offset, add_skipped

PLACE = TP("media.uploads", 0)


def consumer(committed: int | None, acked: list[int]) -> Any:
    return SimpleNamespace(
        _committed_offset={PLACE: committed},
        _acked=defaultdict(list, {PLACE: list(acked)}),
        _acked_index=defaultdict(set, {PLACE: set(acked)}),
        _gap={},
    )


def test_a_record_that_is_worked_on_holds_back_those_behind_it() -> None:
    """Stock Faust commits over it (faust-streaming #606)."""
    assert _new_offset(consumer(31, [32, 33]), PLACE) is None
    assert _new_offset(consumer(0, [1, 2]), PLACE) is None
    working = consumer(31, [31, 33])
    assert _new_offset(working, PLACE) == 32
    assert working._acked[PLACE] == [33]


async def test_the_record_behind_a_marker_is_not_committed_before_it_is_acknowledged() -> None:
    found = consumer(5, [5])
    await _add_gap(found, PLACE, 6, 7)
    assert _new_offset(found, PLACE) == 7
    found._committed_offset[PLACE] = 7
    found._acked[PLACE].append(7)
    found._acked_index[PLACE].add(7)
    assert _new_offset(found, PLACE) == 8


def test_markers_at_the_end_are_committed_without_a_record_behind_them() -> None:
    found = consumer(5, [])
    add_skipped(found, PLACE, 5, 9)
    assert PLACE in found._acked
    assert _new_offset(found, PLACE) == 9


def test_a_million_aborted_events_are_one_range() -> None:
    found = consumer(0, [10_000_000])
    add_skipped(found, PLACE, 0, 10_000_000)
    assert _new_offset(found, PLACE) == 10_000_001
    assert found._acked[PLACE] == []


def test_where_nobody_has_said_where_reading_starts_nothing_is_committed() -> None:
    assert _new_offset(consumer(None, [4]), PLACE) is None


@given(
    st.integers(0, 20),
    st.sets(st.integers(0, 40)),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5)), max_size=6),
)
def test_exactly_what_is_done_without_a_break_is_committed(
    committed: int, acked: set[int], gaps: list[tuple[int, int]]
) -> None:
    acked = {offset for offset in acked if offset >= committed}
    found = consumer(committed, sorted(acked))
    for start, length in gaps:
        found._gap.setdefault(PLACE, {})[start] = start + length
    done = acked | {offset for start, end in found._gap.get(PLACE, {}).items() for offset in range(start, end)}
    end = committed
    while end in done:
        end += 1
    assert (_new_offset(found, PLACE) or committed) == end
    assert set(found._acked[PLACE]) == {offset for offset in acked if offset >= end}

"""Holes are refused, replays are not."""

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.continuity import Continuity

PLACE = TP("media.commands", 3)


def started(at: int) -> Continuity:
    continuity = Continuity()
    continuity.expect({PLACE: at})
    return continuity


def test_offsets_in_order_are_accepted_and_so_are_replays() -> None:
    continuity = started(5)
    assert [continuity.accept(PLACE, offset) for offset in (5, 6, 3, 6, 7)] == [True] * 5


def test_an_offset_beyond_the_next_one_is_a_hole_until_it_is_explained() -> None:
    continuity = started(5)
    assert not continuity.accept(PLACE, 6)
    assert continuity.expected(PLACE) == 5
    continuity.jump(PLACE, 6)
    assert continuity.accept(PLACE, 7)


def test_a_partition_that_is_not_assigned_is_refused() -> None:
    assert not Continuity().accept(PLACE, 0)


@given(st.sets(st.integers(0, 60)), st.lists(st.integers(0, 60), max_size=80))
def test_whatever_is_dropped_or_repeated_every_hole_is_found(dropped: set[int], repeats: list[int]) -> None:
    continuity, seen = started(0), set[int]()
    for offset in [o for o in range(61) if o not in dropped] + repeats:
        if not continuity.accept(PLACE, offset):
            break
        seen.add(offset)
    assert seen == set(range(len(seen)))


def test_reading_starts_at_the_commit_or_before_it_where_rows_vouch_for_less() -> None:
    continuity = Continuity()
    assert continuity.start(PLACE, 50, 0) == 50
    continuity.reclaim({("media.commands", 3): 20})
    assert continuity.start(PLACE, 50, 0) == 21
    assert continuity.start(PLACE, 10, 0) == 10
    assert continuity.start(PLACE, None, 7) == 7


def test_a_partition_no_row_vouches_for_is_replayed_from_the_log_start() -> None:
    continuity = Continuity()
    continuity.reclaim({})
    assert continuity.needs_beginning(PLACE, 50)
    assert continuity.start(PLACE, 50, 12) == 12


def test_claims_only_rise() -> None:
    continuity = Continuity()
    for offset in (4, 9, 2):
        continuity.claim("media.commands", 3, offset)
    assert continuity.claimed("media.commands", 3) == 9

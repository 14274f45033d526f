"""Holes are refused, replays are not."""

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.worker.continuity import Continuity

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


def test_reading_starts_before_what_one_of_the_tables_has_lost_and_it_still_counts_as_a_repeat() -> None:
    continuity = Continuity()
    continuity.reclaim({("media.commands", 3): 20}, {("media.commands", 3): 12})
    assert continuity.start(PLACE, 50, 0) == 13
    assert continuity.claimed(*PLACE) == 20


def test_a_commit_beyond_the_end_of_a_log_that_lost_records_skips_no_new_one() -> None:
    continuity = Continuity()
    assert (continuity.existing(PLACE, 5, 5), continuity.existing(PLACE, 6, 5)) == (5, None)
    continuity.reclaim({("media.commands", 3): 2})
    assert continuity.existing(PLACE, 6, 5) == 5


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


def reading(at: int, *skipped: tuple[int, int]) -> Continuity:
    continuity = started(at)
    continuity.skipped.watch([PLACE.topic])
    for start, end in skipped:
        continuity.skipped.add(PLACE, start, end)
    return continuity


def test_markers_and_aborted_and_compacted_records_are_no_holes() -> None:
    continuity = reading(5, (5, 6), (8, 9), (9, 12))
    assert [continuity.accept(PLACE, offset) for offset in (6, 7, 12)] == [True] * 3
    assert continuity.expected(PLACE) == 13


def test_a_record_that_is_missing_beside_a_marker_is_a_hole() -> None:
    continuity = reading(5, (5, 6))
    assert not continuity.accept(PLACE, 7)
    continuity = reading(5, (6, 7))
    assert not continuity.accept(PLACE, 7)


def test_nothing_but_markers_at_the_end_is_passed_without_a_record() -> None:
    continuity = reading(5, (5, 6), (6, 8))
    assert continuity.pass_skipped() == {PLACE: (5, 8)}
    assert continuity.pass_skipped() == {}
    assert continuity.accept(PLACE, 8)


def test_what_nobody_will_ask_for_is_not_kept() -> None:
    continuity = reading(5, (2, 4), (5, 6), (20, 30))
    continuity.skipped.add(TP("kinolog-control-jobs-changelog", 3), 0, 10_000)
    continuity.pass_skipped()
    assert continuity.skipped._ranges == {(PLACE.topic, 3): {5: 6, 20: 30}}
    continuity.pass_skipped()
    assert continuity.skipped._ranges == {(PLACE.topic, 3): {20: 30}}


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)), st.lists(st.integers(0, 40), max_size=20))
def test_whatever_is_skipped_and_repeated_a_lost_record_is_found(
    nothing: set[int], lost: set[int], repeats: list[int]
) -> None:
    """Every other offset holds a record; ranges are noted in whatever order fetches come."""
    continuity = reading(0, *[(offset, offset + 1) for offset in sorted(nothing, reverse=True)])
    first_lost = min(lost - nothing, default=41)
    for offset in [o for o in range(41) if o not in nothing | lost] + [o for o in repeats if o not in nothing | lost]:
        assert continuity.accept(PLACE, offset) == (offset < first_lost)


def test_a_topic_with_more_partitions_than_the_tables_starts_at_its_commits() -> None:
    continuity = Continuity()
    continuity.reclaim({("media.uploads", 0): 2})
    continuity.without_rows = frozenset({"media.uploads"})
    for tp in (TP("media.uploads", 0), TP("media.uploads", 2)):
        assert not continuity.needs_beginning(tp, 5) and continuity.start(tp, 5, 0) == 5
        assert continuity.needs_beginning(tp, None) and continuity.start(tp, None, 0) == 0
    assert continuity.needs_beginning(TP("media.commands", 1), 5)


def test_nothing_is_known_of_a_topic_that_was_created_again() -> None:
    continuity = Continuity()
    continuity.reclaim({("media.uploads", 0): 6})
    tp = TP("media.uploads", 0)
    continuity.forget(tp)
    assert continuity.claimed(*tp) == -1
    assert continuity.start(tp, None, 0) == 0

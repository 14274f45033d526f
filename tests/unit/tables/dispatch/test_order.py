"""The dispatcher's order: what is computed at once is what comes out one by one."""

from copy import deepcopy
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from tables.dispatch.fair_turns import Candidate
from tables.dispatch.priority_queue import PriorityQueue, turn_of
from tables.dispatch.values import Entry, Line

FILM, MEMO, SPEECH = Line("transcode", False), Line("transcode", True), Line("transcribe", False)
LINES = (FILM, MEMO, SPEECH)
NOBODY: frozenset[str] = frozenset()


class Comes(NamedTuple):
    rank: int
    owner: str
    line: Line
    since: int


class Goes(NamedTuple):
    """Whoever is next has a turn of this length, which is corrected later."""

    span: int
    correction: int


comes = st.builds(Comes, st.integers(0, 2), st.sampled_from("abcd"), st.sampled_from(LINES), st.integers(0, 5))
goes = st.builds(Goes, st.sampled_from([1, 2, 3, 4, 6, 1000]), st.integers(-3, 3))


def filled(past: list[Comes | Goes]) -> PriorityQueue:
    """A queue with a past."""
    queue = PriorityQueue(2)
    for number, action in enumerate(past):
        if isinstance(action, Comes):
            entry = (float(action.since), f"job_{number}")
            queue.add(action.rank, action.owner, action.line, entry)
        elif (chosen := queue.first(LINES, NOBODY)) is not None:
            queue.take(chosen, action.span)
            queue.classes[chosen.rank].charge(chosen.candidate.owner, action.correction)
    return queue


queues = st.lists(st.one_of(comes, goes), max_size=60).map(filled)


def drained(queue: PriorityQueue, lines: tuple[Line, ...] = LINES) -> list[Candidate]:
    """Everything in the order in which it gets its turn, each owner charged what its turns take on average."""
    queue, order = deepcopy(queue), []
    while (chosen := queue.first(lines, NOBODY)) is not None:
        order.append(chosen.candidate)
        queue.take(chosen, queue.classes[chosen.rank]._owners[chosen.candidate.owner].span)
    return order


def ranks(queue: PriorityQueue) -> dict[Entry, int]:
    owners = [(rank, owner) for rank in range(3) for owner in queue.classes[rank]._owners.values()]
    return {entry: rank for rank, owner in owners for entries in owner.lines.values() for entry in entries}


@given(queues)
def test_a_position_is_the_turn_at_which_an_attempt_goes(queue: PriorityQueue) -> None:
    rank_of, order = ranks(queue), drained(queue)
    assert len(order) == len(rank_of)
    for position, candidate in enumerate(order, 1):
        assert queue.position(rank_of[candidate.entry], candidate.owner, candidate.entry) == position
    assert list(queue.in_turn()) == [(candidate.entry, candidate.line) for candidate in order]


@given(queues, st.sampled_from(LINES))
def test_a_position_does_not_count_what_cannot_go(queue: PriorityQueue, skipped: Line) -> None:
    if any(not turns.is_empty and not turns.size({skipped}) for turns in queue.classes):
        return  # a class of which nothing can go is not overtaken
    rank_of, left = ranks(queue), tuple(line for line in LINES if line != skipped)
    order = drained(queue, left)
    assert list(queue.in_turn({skipped})) == [(candidate.entry, candidate.line) for candidate in order]
    for position, candidate in enumerate(order, 1):
        assert queue.position(rank_of[candidate.entry], candidate.owner, candidate.entry, {skipped}) == position


sole = st.builds(Comes, st.just(1), st.just("a"), st.just(SPEECH), st.integers(0, 5))
pasts = st.one_of(st.lists(st.one_of(comes, goes), max_size=30), st.lists(st.one_of(sole, goes), max_size=30))


@given(pasts, st.integers(1, 9), st.lists(st.sampled_from([1, 2, 3, 1000]), min_size=9, max_size=9))
def test_a_run_of_one_owner_goes_as_one_by_one(past: list[Comes | Goes], most: int, spans: list[int]) -> None:
    together, singly = filled(past), filled(past)
    if (chosen := together.first(LINES, NOBODY)) is None:
        return
    run = together.run(chosen, most)
    together.take(chosen, *spans[: len(run)])
    for entry, span in zip(run, spans, strict=False):
        turn = singly.first(LINES, NOBODY)
        assert turn is not None
        assert turn.candidate.entry == entry
        singly.take(turn, span)
    assert len(run) in (1, most) or not singly.size
    late = Comes(1, "b", SPEECH, 0)
    for queue in (together, singly):  # somebody who comes later is charged alike, and nobody else is
        queue.add(late.rank, late.owner, late.line, (9.0, "late"))
    assert drained(together) == drained(singly)


@given(
    st.lists(st.integers(0, 40), min_size=3, max_size=3).filter(any),
    st.lists(st.integers(0, 3), min_size=3, max_size=3),
    st.integers(1, 3),
)
def test_whole_cycles_of_classes_can_be_skipped(sizes: list[int], overtaken: list[int], patience: int) -> None:
    overtaken = [min(count, patience) for count in overtaken]
    turn, left, done, counts = 0, list(sizes), [0, 0, 0], list(overtaken)
    while any(left):
        due = [rank for rank in (2, 1, 0) if counts[rank] >= patience and left[rank]]
        served = next(rank for rank in (*due, 0, 1, 2) if left[rank])
        turn += 1
        assert turn_of(served, done[served], sizes, overtaken, patience) == turn
        left[served] -= 1
        done[served] += 1
        counts[served] = 0
        for lower in range(served + 1, 3):
            counts[lower] = min(counts[lower] + 1, patience) if left[lower] else 0

"""Owners get their share, and nobody waits for ever."""

from collections import Counter
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.dispatch.fair_turns import FairTurns
from tables.dispatch.priority_queue import PriorityQueue
from tables.dispatch.values import Line
from tests.unit.tables.dispatch.lane import Lane, ready, report

LINE = Line("transcode", False)
LINES = (LINE,)
NOBODY: frozenset[str] = frozenset()


def crowd(turns: FairTurns, *owners: str, jobs: int) -> None:
    for owner in owners:
        for number in range(jobs):
            turns.add(owner, LINE, (float(number), f"{owner}{number}"))


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 100), min_size=2),
    st.lists(st.integers(1, 1000), min_size=20, max_size=100),
)
def test_service_per_weight_never_differs_by_more_than_two_turns(weights: dict[str, int], costs: list[int]) -> None:
    turns, service = FairTurns(), Counter[str]()
    crowd(turns, *weights, jobs=len(costs))
    for cost in costs:
        chosen = turns.first(LINES, NOBODY)
        assert chosen is not None
        turns.take(chosen, cost * 1000 // weights[chosen.owner])
        service[chosen.owner] += cost
        shares = {owner: service[owner] / weight for owner, weight in weights.items()}
        turn = max(costs) / min(weights.values())
        assert max(shares.values()) - min(shares.values()) <= 2 * turn + 1


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), min_size=1, max_size=60))
def test_within_an_owner_the_oldest_job_goes_first(jobs: list[tuple[str, int]]) -> None:
    turns, order = FairTurns(), dict[str, list[tuple[float, str]]]()
    for number, (owner, since) in enumerate(jobs):
        turns.add(owner, LINE, (float(since), f"j{number:03}"))
    while (chosen := turns.first(LINES, NOBODY)) is not None:
        order.setdefault(chosen.owner, []).append(chosen.entry)
        turns.take(chosen, 1000)
    assert all(entries == sorted(entries) for entries in order.values())


def test_an_endless_row_of_newcomers_does_not_starve_anybody() -> None:
    turns, overtakes = FairTurns(), 0
    crowd(turns, "crowd", jobs=400)
    for number in range(400):
        turns.add(f"newcomer{number}", LINE, (0.0, f"n{number}"))
        chosen = turns.first(LINES, NOBODY)
        assert chosen is not None
        turns.take(chosen, 1000)
        overtakes = 0 if chosen.owner == "crowd" else overtakes + 1
        assert overtakes <= len(turns._owners) + 2


def test_a_newcomer_is_next_behind_one_owner_and_has_a_turn_within_a_round_behind_many() -> None:
    turns = FairTurns()
    crowd(turns, *"abcde", jobs=50)
    for number in range(98):
        chosen = turns.first(LINES, NOBODY)
        assert chosen is not None
        turns.take(chosen, 1000)
        if number == 90:
            turns.add("newcomer", LINE, (9.0, "n"))
        if chosen.owner == "newcomer":
            return
    pytest.fail("the newcomer waited for longer than a round")


@pytest.mark.parametrize("rank, most", [(1, 2 * 8 + 2), (2, 8)])
def test_lower_priorities_have_a_turn_after_a_bounded_number_of_others(rank: int, most: int) -> None:
    queue, numbers, overtaken = PriorityQueue(8), count(), 0
    for waiting in (1, 2):
        crowd(queue.classes[waiting], "a", jobs=100)
    for number in numbers:
        queue.classes[0].add("a", LINE, (0.0, f"high{number}"))
        chosen = queue.first(LINES, NOBODY)
        assert chosen is not None
        queue.take(chosen, 1000)
        overtaken = 0 if chosen.rank == rank else overtaken + 1
        assert overtaken <= most
        if number > 500:
            return


def test_an_owner_that_was_at_its_cap_for_long_does_not_shut_out_the_others_when_it_is_lifted() -> None:
    turns = FairTurns()
    crowd(turns, "capped", "other", jobs=300)
    for _ in range(200):
        chosen = turns.first(LINES, {"capped"})
        assert chosen is not None
        turns.take(chosen, 60_000_000)
    turns.release("capped")
    row = []
    for _ in range(10):
        chosen = turns.first(LINES, NOBODY)
        assert chosen is not None
        turns.take(chosen, 60_000_000)
        row.append(chosen.owner)
    assert row.count("other") >= 4


def test_weights_are_shares_of_time_also_among_busy_executors() -> None:
    lane = Lane(*(report(name, slots={"transcode": 1}) for name in "abcdefgh"))
    lane.dispatcher.change(type(lane.dispatcher.rules)(weights={"big": 3.0}))
    for owner in ("big", "small"):
        lane.ready(*(ready(f"{owner}{n}", "transcode", owner=owner, since=float(n)) for n in range(400)))
    begun = Counter[str]()
    running = lane.give()
    for turn in range(400):
        begun.update(given.job_id.rstrip("0123456789") for given in running[-8 if not turn else -1 :])
        first = running.pop(0)
        lane.accept(first)
        lane.end(first)
        running += lane.give()
    assert begun["big"] / begun["small"] == pytest.approx(3.0, rel=0.05)

"""High requests go first, and low ones are never starved for ever."""

import asyncio
from collections import deque

from agents.executor.priorities import PATIENCE, Precedence
from schemas.jobs import PRIORITIES, Priority


def world(**counts: int) -> tuple[Precedence, dict[Priority, deque[int]]]:
    queues = {priority: deque(range(counts.get(priority, 0))) for priority in PRIORITIES}
    precedence = Precedence()
    for priority, queue in queues.items():
        precedence.register(priority, lambda queue=queue: bool(queue))  # type: ignore[misc]
    return precedence, queues


def order(precedence: Precedence, queues: dict[Priority, deque[int]]) -> list[Priority]:
    """The order in which waiting requests are taken, one at a time."""
    gone: list[Priority] = []
    while any(queues.values()):
        [who] = [priority for priority in PRIORITIES if queues[priority] and precedence.may_go(priority)]
        queues[who].popleft()
        precedence.took(who, 1)
        gone.append(who)
    return gone


def test_high_goes_before_normal_before_low() -> None:
    assert order(*world(high=2, normal=2, low=2)) == ["high", "high", "normal", "normal", "low", "low"]


def test_after_patience_one_of_a_lower_priority_goes() -> None:
    gone = order(*world(high=40, low=3))
    assert gone[:PATIENCE] == ["high"] * PATIENCE and gone[PATIENCE] == "low"
    assert gone.index("low", PATIENCE + 1) == 2 * PATIENCE + 1


def test_every_priority_gets_through_whatever_comes() -> None:
    precedence, queues = world(high=1, normal=1, low=1)
    gone: list[Priority] = []
    for _ in range(100):
        queues["high"].append(1)  # there is always another one
        queues["normal"].append(1)
        [who] = [priority for priority in PRIORITIES if queues[priority] and precedence.may_go(priority)]
        queues[who].popleft()
        precedence.took(who, 1)
        gone.append(who)
    assert gone.count("low") == 1 and gone.count("normal") >= 5


def test_nobody_waits_for_who_is_not_there() -> None:
    precedence = Precedence()
    assert precedence.may_go("low")
    precedence.took("high", 100)
    assert precedence.may_go("high")


async def test_a_turn_comes_when_what_was_before_is_taken() -> None:
    precedence, queues = world(high=1, low=1)
    waiting = asyncio.create_task(precedence.turn("low"))
    await asyncio.sleep(0)
    assert not waiting.done()
    queues["high"].clear()
    precedence.took("high", 1)
    await asyncio.wait_for(waiting, 1)

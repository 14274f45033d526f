"""Connections that wait for their turn at being parsed."""

import asyncio

import uvloop

from tests.conftest import eventually
from web.connections.read_turns import PIECE_BYTES, ReadTurns
from web.connections.turn_queue import TurnQueue

#: Dear by the byte.
_TOOK_S = 0.0002


class CountedTurns(ReadTurns):
    """Turns that count how often somebody looks at them."""

    looks = 0

    def wait_s(self, source: str, now: float) -> float:
        self.looks += 1
        return super().wait_s(source, now)


class Crowd:
    """Connections that are dear at each turn, and join again for so many turns in all."""

    def __init__(self, turns: int) -> None:
        self.turns, self.took, self._left = CountedTurns(), list[str](), turns
        self._queue = TurnQueue(self.turns)

    def add(self, source: str, name: str) -> None:
        """A connection that has just been parsed."""
        self._charge(source, 10 * _TOOK_S)

        def go_on() -> None:
            self.took.append(name)
            self._charge(source, _TOOK_S)
            if len(self.took) < self._left:
                self._queue.join(source, go_on)

        self._queue.join(source, go_on)

    def _charge(self, source: str, took_s: float) -> None:
        self.turns.charge(source, took_s, PIECE_BYTES // 20, asyncio.get_running_loop().time())


async def test_sources_take_turns_and_so_do_their_connections() -> None:
    crowd = Crowd(turns=12)
    for name in ("a1", "a2", "a3", "b1"):
        crowd.add(name[0], name)
    await eventually(lambda: len(crowd.took) >= 12)
    assert crowd.took[:8] == ["a1", "b1", "a2", "b1", "a3", "b1", "a1", "b1"]


async def test_who_has_left_has_no_turn() -> None:
    queue, took = TurnQueue(ReadTurns()), list[str]()
    queue.turns.charge("a", 0.002, PIECE_BYTES, asyncio.get_running_loop().time())
    first, second = (lambda: took.append("first")), (lambda: took.append("second"))
    for go_on in (first, second, second):
        queue.join("a", go_on)
    queue.leave("a", first)
    queue.leave("b", first)
    await eventually(lambda: took)
    await asyncio.sleep(0.05)
    assert took == ["second"]


async def test_a_turn_concerns_one_connection_whatever_their_number() -> None:
    crowd = Crowd(turns=20)
    for number in range(50):
        crowd.add("a", str(number))
    await eventually(lambda: len(crowd.took) >= 20)
    assert crowd.took[:20] == [str(number) for number in range(20)]
    assert crowd.turns.looks < 20 * 10  # all of them at each turn would be 1,000


class Impatient(ReadTurns):
    """Turns that come after some milliseconds, of which each look says less than one."""

    looks, begins_at = 0, 0.0

    def wait_s(self, source: str, now: float) -> float:
        self.looks += 1
        self.begins_at = self.begins_at or now + 0.02
        return min(max(self.begins_at - now, 0.0), 0.0004)


def test_a_wait_that_is_shorter_than_a_tick_of_the_event_loop_is_a_tick() -> None:
    async def looks() -> int:
        turns, took = Impatient(), list[str]()
        TurnQueue(turns).join("a", lambda: took.append("a"))
        await eventually(lambda: took)
        return turns.looks

    assert uvloop.run(looks()) < 50  # its timers count milliseconds: as no wait at all it was looked at all the time

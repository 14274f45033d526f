"""Connections that are looked at in rounds of the event loop."""

import asyncio
from collections.abc import Callable

import pytest

from tests.conftest import eventually
from web.connections.rounds import Rounds


class Looks:
    """The order in which connections were looked at, and in which turn of the event loop."""

    def __init__(self) -> None:
        self.rounds, self.taken, self._turn = Rounds(), list[tuple[int, str]](), 0
        self._count()

    def _count(self) -> None:
        self._turn += 1
        asyncio.get_running_loop().call_soon(self._count)

    def look(self, name: str) -> Callable[[], None]:
        """Bytes of a connection have arrived; its source is the first letter of its name."""

        def go_on() -> None:
            self.taken.append((self._turn, name))

        if self.rounds.enter():
            go_on()
        else:
            self.rounds.join(name[0], go_on)
        return go_on

    @property
    def names(self) -> list[str]:
        """Names in the order in which they were looked at."""
        return [name for _, name in self.taken]


async def test_one_is_looked_at_in_each_turn_of_the_event_loop_and_all_in_the_end() -> None:
    looks = Looks()
    for number in range(50):
        looks.look(f"a{number}")
    await eventually(lambda: len(looks.taken) == 50)
    turns = [turn for turn, _ in looks.taken]
    assert max(turns.count(turn) for turn in turns) == 1
    assert looks.names == [f"a{number}" for number in range(50)]


async def test_a_source_that_comes_after_the_crowd_of_another_is_next() -> None:
    looks = Looks()
    for number in range(100):
        looks.look(f"a{number}")
    looks.look("b")
    await eventually(lambda: len(looks.taken) == 101)
    assert looks.names.index("b") <= 5


async def test_those_that_come_while_others_wait_do_not_widen_the_round() -> None:
    looks = Looks()
    for number in range(20):
        looks.look(f"a{number}")
    await asyncio.sleep(0)
    for number in range(20):
        looks.look(f"b{number}")
    await eventually(lambda: len(looks.taken) == 40)
    turns = [turn for turn, _ in looks.taken]
    assert max(turns.count(turn) for turn in turns) <= 5  # one loop turn may have the end of a round and the next


async def test_who_has_left_is_not_looked_at() -> None:
    looks = Looks()
    made = [looks.look(f"a{number}") for number in range(8)]
    looks.rounds.leave("a", made[6])
    looks.rounds.leave("b", made[7])
    await eventually(lambda: len(looks.taken) == 7)
    await asyncio.sleep(0.01)
    assert looks.names == ["a0", "a1", "a2", "a3", "a4", "a5", "a7"]


async def test_a_connection_that_fails_does_not_stop_the_others() -> None:
    looks, errors = Looks(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))
    for number in range(4):
        looks.look(f"a{number}")
    assert not looks.rounds.enter()
    looks.rounds.join("b", lambda: pytest.fail("a bug"))
    for number in range(4, 10):
        looks.look(f"a{number}")
    await eventually(lambda: len(looks.taken) == 10)
    assert len(errors) == 1

"""One caller's many requests do not delay another's."""

import asyncio
from collections.abc import Sequence

import pytest

from web.http.fair_semaphore import FairSemaphore, QueueFull, RecentCallers


class Requests:
    """Requests that hold a slot until they are told to end; `began` has their callers in the order of their turns."""

    def __init__(self, slots: FairSemaphore) -> None:
        self._slots = slots
        self.began: list[str] = []
        self._ends: list[asyncio.Event] = []

    def start(self, callers: Sequence[str]) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._hold(caller)) for caller in callers]

    async def _hold(self, caller: str) -> None:
        async with self._slots.slot(caller):
            end = asyncio.Event()
            self.began.append(caller)
            self._ends.append(end)
            await end.wait()

    async def end_oldest(self) -> None:
        self._ends.pop(0).set()
        await idle()


async def idle() -> None:
    """Let every task go on until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_another_callers_request_gets_the_slot_that_is_free_beside_twelve_of_the_first() -> None:
    requests = Requests(FairSemaphore(slots=4, per_caller=2, queue=20))
    tasks = requests.start(["anna"] * 12)
    await idle()
    tasks += requests.start(["bert"])
    await idle()
    assert requests.began == ["anna", "anna", "bert"]
    for _ in tasks:
        await requests.end_oldest()
    await asyncio.gather(*tasks)


async def test_callers_take_turns_when_all_slots_are_taken() -> None:
    requests = Requests(FairSemaphore(slots=2, per_caller=2, queue=20))
    tasks = requests.start(["anna"] * 6)
    await idle()
    tasks += requests.start(["bert", "bert", "cleo"])
    for _ in tasks:
        await idle()
        await requests.end_oldest()
    await asyncio.gather(*tasks)
    assert requests.began == ["anna", "anna", "bert", "anna", "cleo", "bert", "anna", "anna", "anna"]


async def test_a_caller_with_too_many_waiting_requests_is_refused_and_others_are_not() -> None:
    requests = Requests(FairSemaphore(slots=2, per_caller=1, queue=2))
    tasks = requests.start(["anna"] * 4 + ["bert"])
    await idle()
    assert [task.done() for task in tasks] == [False, False, False, True, False]
    with pytest.raises(QueueFull):
        await tasks.pop(3)
    for _ in tasks:
        await requests.end_oldest()
    await asyncio.gather(*tasks)


async def test_requests_that_are_cancelled_leave_their_slots_and_places_to_others() -> None:
    requests = Requests(FairSemaphore(slots=1, per_caller=1, queue=20))
    running, *waiting = requests.start(["anna"] * 5)
    other = requests.start(["bert"])
    await idle()
    for task in waiting:
        task.cancel()
    running.cancel()
    await idle()
    assert requests.began == ["anna", "bert"]
    other[0].cancel()  # in the moment in which it ends
    requests.start(["cleo"])[0].cancel()
    await idle()
    last = requests.start(["dora"])
    await idle()
    assert requests.began[-1] == "dora"
    last[0].cancel()


async def test_a_slot_that_is_granted_and_cancelled_in_the_same_moment_is_not_lost() -> None:
    slots = FairSemaphore(slots=1, per_caller=1, queue=20)
    requests = Requests(slots)
    first, second, third = requests.start(["anna", "bert", "cleo"])
    await idle()
    first.cancel()
    await asyncio.sleep(0)  # it releases, and grants the slot to the second
    second.cancel()
    await idle()
    assert requests.began == ["anna", "cleo"]
    third.cancel()
    await idle()
    assert (slots._free, slots._waiting, slots._held) == (1, {}, {})


async def test_a_caller_alone_has_its_slots_and_gives_up_all_but_one_while_another_calls() -> None:
    requests = Requests(FairSemaphore(slots=4, per_caller=3, queue=20, shared=True))
    tasks = requests.start(["anna"] * 8)
    await idle()
    assert requests.began == ["anna"] * 3
    tasks += requests.start(["bert"])
    await idle()
    assert requests.began == ["anna", "anna", "anna", "bert"]
    for _ in range(3):
        await requests.end_oldest()
    assert requests.began[4:] == ["anna"]
    for _ in tasks[3:]:
        await requests.end_oldest()
    await asyncio.gather(*tasks)


def test_who_has_not_called_for_a_second_shares_no_more() -> None:
    recent = RecentCallers()
    assert recent.count() == 1
    for caller, at, count in (("anna", 0.0, 1), ("bert", 0.5, 2), ("anna", 0.9, 2), ("anna", 1.6, 1), ("cleo", 1.7, 2)):
        recent.note(caller, at)
        assert recent.count() == count

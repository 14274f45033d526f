"""Room for attempts, and the line for the CPUs."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from agents.executor.capacity import CpuBudget, Slots


async def is_done(work: Coroutine[Any, Any, None]) -> bool:
    """Whether `work` ends without anything else happening."""
    task = asyncio.create_task(work)
    for _ in range(3):
        await asyncio.sleep(0)
    done = task.done()
    task.cancel()
    return done


async def test_nothing_is_free_until_a_slot_comes_back() -> None:
    slots = Slots(2)
    slots.take()
    assert slots.free == 1
    slots.take()
    assert not await is_done(slots.wait_free())
    slots.give_back()
    assert await is_done(slots.wait_free())


async def test_a_group_beyond_the_room_is_worked_off_before_more_is_taken() -> None:
    slots = Slots(1)
    for _ in range(3):
        slots.take()
    for _ in range(2):
        slots.give_back()
    assert slots.free == 0
    assert not await is_done(slots.wait_free())
    slots.give_back()
    assert slots.free == 1


async def test_heavy_attempts_have_the_cpus_one_after_another_in_order() -> None:
    budget = CpuBudget(4)
    first, second, third = budget.queue(), budget.queue(), budget.queue()
    assert [turn.waiting for turn in (first, second, third)] == [False, True, True]
    second.leave()
    first.leave()
    assert not third.waiting
    first.leave()
    assert not third.waiting


async def test_the_cpus_are_free_when_nobody_has_them_or_waits() -> None:
    budget = CpuBudget(4)
    first, second = budget.queue(), budget.queue()
    first.leave()
    assert not await is_done(budget.wait_free())
    second.leave()
    assert await is_done(budget.wait_free())

"""Capacity: slots for attempts, paused queues, and the queue for the CPUs."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from agents.executor.capacity import CpuBudget, PausedQueues, Slots
from schemas.step_events import QueueChanged


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
    slots.acquire()
    assert slots.free == 1
    slots.acquire()
    assert not await is_done(slots.wait_free())
    slots.release()
    assert await is_done(slots.wait_free())


async def test_a_group_beyond_the_room_is_worked_off_before_more_is_taken() -> None:
    slots = Slots(1)
    for _ in range(3):
        slots.acquire()
    for _ in range(2):
        slots.release()
    assert slots.free == 0
    assert not await is_done(slots.wait_free())
    slots.release()
    assert slots.free == 1


async def test_heavy_attempts_have_the_cpus_one_after_another_in_order() -> None:
    budget = CpuBudget(4)
    first, second, third = budget.enqueue(), budget.enqueue(), budget.enqueue()
    assert [turn.is_waiting for turn in (first, second, third)] == [False, True, True]
    second.release()
    first.release()
    assert not third.is_waiting
    first.release()
    assert not third.is_waiting


async def test_the_cpus_are_free_when_nobody_has_them_or_waits() -> None:
    budget = CpuBudget(4)
    first, second = budget.enqueue(), budget.enqueue()
    first.release()
    assert not await is_done(budget.wait_free())
    second.release()
    assert await is_done(budget.wait_free())


def change(step: str, at: float, *, paused: bool) -> QueueChanged:
    return QueueChanged(step=step, paused=paused, changed_at=at)


async def test_a_paused_step_waits_and_the_others_do_not() -> None:
    queues = PausedQueues(["noop", "probe"])
    queues.apply(change("noop", 5.0, paused=True))
    assert queues.is_paused("noop") and not queues.is_paused("probe")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queues.wait_resumed("noop"), 0.01)
    waiting = asyncio.create_task(queues.wait_resumed("noop"))
    queues.apply(change("noop", 6.0, paused=False))
    await asyncio.wait_for(waiting, 1)


async def test_an_older_message_changes_nothing() -> None:
    queues = PausedQueues(["noop"])
    queues.apply(change("noop", 6.0, paused=False))
    queues.apply(change("noop", 5.0, paused=True))
    queues.apply(change("of another lane", 9.0, paused=True))
    assert not queues.is_paused("noop")

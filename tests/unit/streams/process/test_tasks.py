"""A process ends although a library swallowed the cancellation of one of its tasks."""

import asyncio
import contextlib

from streams.process.tasks import cancel_all


async def test_a_task_that_swallowed_a_cancellation_ends() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 1:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await cancel_all([task])
    assert task.cancelled()
    assert swallowed == 2


async def test_what_breaks_while_it_ends_and_what_has_ended_hold_up_nobody() -> None:
    async def breaks() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        raise ConnectionError

    async def ends() -> None:
        return

    tasks = [asyncio.create_task(breaks()), asyncio.create_task(ends())]
    await asyncio.sleep(0)
    await cancel_all(tasks)
    assert all(task.done() for task in tasks)
    await cancel_all([])

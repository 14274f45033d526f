"""Cancellation of background tasks, whatever library they wait in."""

import asyncio
from collections.abc import Iterable

#: Seconds until a running task is cancelled again.
_AGAIN_S = 0.5


async def cancel_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks and return when all are done; their errors are dropped.

    One cancellation is not enough: Python 3.11's `asyncio.wait_for` swallows one that arrives together with its result
    (bpo-37658). aiokafka uses it, so a task that follows a topic would run for ever.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=_AGAIN_S)
        for task in done:
            if not task.cancelled():
                task.exception()  # retrieved, or the interpreter would complain

"""Background tasks: how they are ended, whatever library they wait in."""

import asyncio
from collections.abc import Iterable

#: Seconds until a task that has not ended is cancelled again.
_AGAIN_S = 0.5


async def cancel_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks, and return when all have ended; what they raise is dropped.

    One cancellation is not enough: Python 3.11's `asyncio.wait_for` swallows one that arrives in the turn in which its
    result does (bpo-37658), aiokafka awaits through it, and a task that follows a topic would go on for ever.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=_AGAIN_S)
        for task in done:
            if not task.cancelled():
                task.exception()  # retrieved: the interpreter complains of one that is not

"""How a live connection ends, and what it leaves."""

import asyncio
import gc
import weakref

import pytest

from web.api import live
from web.live.client import TOO_SLOW


class Kept:
    """What the work of a connection holds."""


async def _waits(_kept: Kept) -> None:
    async with asyncio.timeout(0.01):
        await asyncio.sleep(60)


async def test_a_client_that_does_not_read_leaves_nothing_to_collect() -> None:
    """Each such client left its connection, some 36 objects, to the next full collection: half an hour later."""
    gc.collect()
    gc.disable()
    try:
        kept = Kept()
        task = asyncio.create_task(live._until_gone(_waits(kept)))
        left = weakref.ref(kept)
        del kept
        assert await task == TOO_SLOW
        del task
        assert left() is None
    finally:
        gc.enable()


async def test_a_client_that_leaves_ends_without_a_reason_and_a_bug_is_one() -> None:
    async def fails(error: Exception) -> None:
        raise error

    assert await live._until_gone(fails(ConnectionResetError())) is None
    with pytest.raises(ZeroDivisionError):
        await live._until_gone(fails(ZeroDivisionError()))

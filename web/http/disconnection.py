"""Cancellation of work for clients that disconnect: aiohttp lets handlers run to their end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import web

T = TypeVar("T")

#: Interval between checks of the connection.
_CHECK_S = 0.25


async def while_connected(request: web.Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client disconnects. Raises ConnectionResetError then."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=_CHECK_S))[0]:
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("client disconnected")
        return task.result()
    finally:
        while not task.done():  # one cancellation may be lost, see streams/process/tasks.py
            task.cancel()
            await asyncio.wait({task}, timeout=_CHECK_S)

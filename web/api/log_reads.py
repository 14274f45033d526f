"""Reads of the log for a request: in the caller's turn, and only while the client is connected."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from aiohttp import web

from web.http.disconnection import while_connected
from web.http.fair_semaphore import FairSemaphore
from web.services import services

T = TypeVar("T")


async def read_log(request: web.Request, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of `read()`, run once a slot is the caller's. Raises QueueFull, and what `read` raises."""
    return await while_connected(request, _in_turn(services(request).log_slots, read))


async def _in_turn(slots: FairSemaphore, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
    async with slots.slot():
        return await read()

"""Reads of the log for a request: in the caller's turn, and only while the client is connected."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from aiohttp import web

from web.auth.middleware import caller_of
from web.http.disconnection import while_connected
from web.http.fair_semaphore import FairSemaphore, QueueFull
from web.http.problems import Problem
from web.services import services

T = TypeVar("T")


async def read_log(request: web.Request, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of `read()`, run once a slot is the caller's. Raises Problem (429), and what `read` raises."""
    return await while_connected(request, _in_turn(services(request).log_slots, _caller(request), read))


async def _in_turn(slots: FairSemaphore, caller: str, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
    try:
        async with slots.slot(caller):
            return await read()
    except QueueFull as error:
        detail = "too many of your requests wait to read the log: wait for their responses"
        raise Problem(429, "too-many-waiting-requests", detail, {"Retry-After": "2"}) from error


def _caller(request: web.Request) -> str:
    """Who shares a turn: all tokens of an owner, as one person may have many."""
    principal = caller_of(request)
    return f"owner:{principal.owner}" if principal.owner is not None else f"token:{principal.token_id}"

"""Middleware: a limit on the requests in progress of one caller, from the headers to the last byte of the response.

Without it the bodies that a client requests and does not read are bounded by its connections alone.
"""

import asyncio
import contextlib
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from web.http.fair_semaphore import FairSemaphore, QueueFull
from web.http.problems import DELAY_S, Problem
from web.http.routing import Handler, route_of

#: Requests of one caller that may wait for their turn; one takes some 20 KB.
_WAITING = 1_000
#: In all, callers are bounded by connections.
_SLOTS = 2**31
#: Seconds after which a refused client may try again.
_RETRY_S = "5"

#: A response of this size fits into the buffers of its connection, and is over when it is handed over.
_BUFFERED_BYTES = 64 * 1024

#: The caller as which a request is counted.
_COUNTED = web.RequestKey("counted", str)


def requests_limit(per_caller: int) -> FairSemaphore:
    """A limit on the requests in progress of one caller; further ones wait. 0: unlimited."""
    return FairSemaphore(_SLOTS, per_caller or _SLOTS, _WAITING)


def counted(limit: FairSemaphore, caller_of: Callable[[web.Request], str | None]) -> Middleware:
    """Middleware that counts a request, to be placed behind the authentication; None of `caller_of`: it is not counted.

    Beyond the limit a request waits for its turn, before its body is read: a burst of submissions is not refused.
    Raises Problem (429) when too many wait.
    """

    @web.middleware
    async def entered(request: web.Request, handler: Handler) -> web.StreamResponse:
        caller = caller_of(request)
        if caller is not None:
            try:
                await limit.acquire(caller)
            except QueueFull as error:
                detail = f"{_WAITING} of your requests wait for their turn, and more are not allowed"
                raise Problem(429, "too-many-requests-at-once", detail, {"Retry-After": _RETRY_S}) from error
            request[_COUNTED] = caller
        return await handler(request)

    return entered


def sent(limit: FairSemaphore) -> Middleware:
    """Middleware that sends the response, late if it is to wait, and then counts the request no longer.

    To be the outermost.
    """

    @web.middleware
    async def left(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
            if DELAY_S in response:
                await asyncio.sleep(response[DELAY_S])
            await _send_large(request, response)
        finally:
            if (caller := request.get(_COUNTED)) is not None:
                limit.release(caller)
        return response

    return left


async def _send_large(request: web.Request, response: web.StreamResponse) -> None:
    if isinstance(response, web.Response) and not response.prepared:
        body = response.body
        if isinstance(body, bytes) and len(body) > _BUFFERED_BYTES:
            with contextlib.suppress(ConnectionError):  # the client has left
                await response.prepare(request)
                await response.write_eof()


def is_counted(request: web.Request) -> bool:
    """Whether the route counts: live connections have a limit of their own, and media goes to the caches of others."""
    route = route_of(request)
    return route is None or not (route.ticket or route.access == "signed")

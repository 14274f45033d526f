"""/v1/live: a snapshot, then every change and progress, over a websocket or as server-sent events."""

import asyncio
import contextlib
import logging
import math
from collections.abc import Coroutine
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from web.api.common import AfterQuery, visible_asset, visible_job, wait_for_cursor
from web.auth.browser_requests import require_same_origin
from web.auth.middleware import SUBPROTOCOL, caller_of
from web.http.cursors import InvalidCursor, LiveCursor, load
from web.http.problems import Problem, unavailable
from web.http.routing import Routes
from web.http.tracebacks import forget_tracebacks
from web.live.client import TOO_SLOW, Client, CloseReason
from web.live.message_limit import MessageLimit
from web.live.senders import Send, event_sender, socket_sender
from web.readmodel.subscriptions import Subscription, parse
from web.services import Services, services
from web.views.models import PongFrame

log = logging.getLogger("kinolog.web")

_PING_S = 20.0
#: Time for a client to receive the close reason, seconds; then the connection is aborted.
_CLOSE_S = 1.5
_MAX_MESSAGE_BYTES = 4096
_INTERNAL_ERROR, _TOO_MANY_MESSAGES = CloseReason(1011, "InternalError"), CloseReason(1008, "TooManyMessages")

#: The response to a client that asks whether the connection is alive.
_PONG = msgspec.json.encode(PongFrame()).decode()

routes = Routes("Live")


class LiveQuery(AfterQuery, frozen=True, kw_only=True):
    """Query parameters of a live connection."""

    #: What to subscribe to, separated by commas: all, job:ID, asset:ID, queue:STEP, owner:NAME.
    subscribe: str | None = None
    #: Resume after the last received cursor.
    cursor: str | None = None
    #: A ticket of `POST /v1/live/tickets`, instead of a token.
    ticket: str | None = None


@routes.get(
    "/v1/live", query=LiveQuery, responses={101: None}, problems=(400, 403, 404, 429, 503), head=False, ticket=True
)
async def live_socket(request: web.Request) -> web.StreamResponse:
    """Live updates over a websocket, server to client only; closed with 4008 ConsumerTooSlow for a slow client."""
    require_same_origin(request, services(request).settings.web)
    _require_quiet(request)
    with services(request).live_limit.entered(caller_of(request).turn):
        return await _socket(request)


async def _socket(request: web.Request) -> web.WebSocketResponse:
    subscription, cursor = await _requested(request, request.query.get("cursor"))
    socket = web.WebSocketResponse(
        protocols=(SUBPROTOCOL,),
        heartbeat=_PING_S,
        compress=False,
        max_msg_size=_MAX_MESSAGE_BYTES,
        timeout=_CLOSE_S,
        autoping=False,
    )
    await socket.prepare(request)
    send = socket_sender(request, socket, services(request).settings.web.send_stall_s)
    reason = await _serve(
        request,
        subscription,
        cursor,
        send,
        _listen(socket, services(request).live_messages.of(caller_of(request).turn)),
    )
    if reason is not None:
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_CLOSE_S):
                await socket.close(code=reason.code, message=reason.reason.encode(), drain=False)
        _abort(request)
    forget_tracebacks(socket.exception())
    return socket


async def _listen(socket: web.WebSocketResponse, limit: MessageLimit) -> CloseReason | None:
    """Respond to pings and texts until the socket closes (None), or must be closed: a flood of messages costs all."""
    async for message in socket:
        if not limit.allows(asyncio.get_running_loop().time()):
            return _TOO_MANY_MESSAGES
        if message.type is WSMsgType.PING:
            await socket.pong(message.data)
        elif message.type is WSMsgType.TEXT:
            await socket.send_str(_PONG)
    return None


def _require_quiet(request: web.Request) -> None:
    """Raise Problem (429) for a caller whose connection was just closed for a flood of messages."""
    now = asyncio.get_running_loop().time()
    if (wait_s := services(request).live_messages.refused_s(caller_of(request).turn, now)) > 0:
        detail = "a connection of yours was closed because it sent too many messages: wait before you open another one"
        raise Problem(429, "too-many-messages", detail, {"Retry-After": str(math.ceil(wait_s))})


@routes.get(
    "/v1/live/sse",
    query=LiveQuery,
    responses={200: "text/event-stream"},
    problems=(400, 403, 404, 429, 503),
    head=False,
    ticket=True,
)
async def live_events(request: web.Request) -> web.StreamResponse:
    """Live updates as server-sent events; the event id is the cursor. Source: HTML Living Standard, section 9.2."""
    require_same_origin(request, services(request).settings.web)
    with services(request).live_limit.entered(caller_of(request).turn):
        return await _events(request)


async def _events(request: web.Request) -> web.StreamResponse:
    subscription, cursor = await _requested(request, _resume_cursor(request))
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    await response.prepare(request)

    async def ping() -> None:
        while True:
            await response.write(b": still here\n\n")
            await asyncio.sleep(_PING_S)

    send = event_sender(response, services(request).settings.web.send_stall_s)
    reason = await _serve(request, subscription, cursor, send, ping())
    if reason is not None:
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_CLOSE_S):
                await response.write(f'event: end\ndata: {{"reason": "{reason.reason}"}}\n\n'.encode())
                await response.write_eof()
        _abort(request)
    return response


def _resume_cursor(request: web.Request) -> str | None:
    """The last event id of a browser that reconnects, else the cursor of the URL.

    An id that is no cursor of ours begins with a snapshot: a browser gives up for good on any error.
    """
    last = request.headers.get("Last-Event-ID")
    if not last:
        return request.query.get("cursor")
    try:
        load(last, LiveCursor)
    except InvalidCursor:
        return None
    return last


async def _requested(request: web.Request, cursor: str | None) -> tuple[Subscription, LiveCursor | None]:
    """Parse subscription and cursor. Raises Problem: 400, 404 for a job or asset the caller may not see, 503."""
    principal, parts = caller_of(request), services(request)
    subscription = parse(request.query.get("subscribe", ""), principal.scope)
    since = load(cursor, LiveCursor) if cursor else None
    await wait_for_cursor(request, "jobs")
    for job_id in subscription.named("job"):
        await visible_job(request, principal, job_id)
    for requested in subscription.named("asset"):
        asset = await visible_asset(request, principal, requested)
        subscription = subscription.with_asset(requested, asset.id)
    if parts.position.rebuilding:
        raise unavailable("read-model-behind", "the jobs are still being read from the log: try again")
    return subscription, since


async def _serve(
    request: web.Request,
    subscription: Subscription,
    cursor: LiveCursor | None,
    send: Send,
    companion: Coroutine[Any, Any, CloseReason | None],
) -> CloseReason | None:
    """Send until the client disconnects (None) or must be closed (why). `companion` runs as long, and may end it."""
    parts = services(request)
    client = parts.hub.join(subscription)
    tasks = [asyncio.create_task(_until_gone(each)) for each in (_pump(parts, client, cursor, send), companion)]
    ends: list[asyncio.Future[Any]] = [*tasks, client.close_reason]
    try:
        with parts.sessions.watched(client, caller_of(request)):
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        return client.close_reason.result() if client.close_reason.done() else _outcome(tasks)
    finally:
        parts.hub.leave(client)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_gone(work: Coroutine[Any, Any, CloseReason | None]) -> CloseReason | None:
    """Work until the client disconnects (None) or does not read.

    As a result, because a task that ends with the error of a time limit is part of a cycle with it: only a full
    collection of garbage would free it, with the client and its connection.
    """
    try:
        return await work
    except TimeoutError:
        return TOO_SLOW
    except ConnectionError:
        return None


async def _pump(parts: Services, client: Client, cursor: LiveCursor | None, send: Send) -> None:
    await _send_first(parts, client, cursor, send)
    while True:
        await send(await client.next_frames())


async def _send_first(parts: Services, client: Client, cursor: LiveCursor | None, send: Send) -> None:
    """Send the first frames. A function of its own: the snapshot must not live as long as the connection."""
    async for frame in parts.catch_up.frames(client, cursor):
        await send([frame])


def _outcome(tasks: list[asyncio.Task[Any]]) -> CloseReason | None:
    """None when the client disconnected; a bug is logged and closes the connection with an error."""
    for task in tasks:
        if not task.done() or task.cancelled():
            continue
        if (error := task.exception()) is not None:
            log.error("live connection failed", exc_info=error)
            return _INTERNAL_ERROR
        reason: CloseReason | None = task.result()
        return reason
    return None


def _abort(request: web.Request) -> None:
    """Abort the connection with its unsent bytes: a plain close would wait for a slow client forever."""
    if request.transport is not None:
        request.transport.abort()

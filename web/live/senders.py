"""Senders of frames to one connection, in slices: a client that does not read costs 64 KiB, not a snapshot."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

from aiohttp import web

from web.live.ws_frames import Frame

#: Sends frames; returns when the connection can take more.
#: Raises ConnectionError when it is closed, TimeoutError for a client that does not read.
Send = Callable[[Sequence[Frame]], Awaitable[None]]

_SLICE_BYTES = 64 * 1024


def socket_sender(request: web.Request, socket: web.WebSocketResponse, stall_s: float) -> Send:
    """A sender for a websocket. Raw: frames are encoded once for all clients, the socket would encode them again."""

    async def send(frames: Sequence[Frame]) -> None:
        for data in slices(frame.wire for frame in frames):
            transport = request.transport
            if socket.closed or transport is None or transport.is_closing():
                raise ConnectionResetError("the websocket is closed")
            transport.write(data)
            if transport.get_write_buffer_size() >= _SLICE_BYTES:
                async with asyncio.timeout(stall_s):
                    await request.writer.drain()

    return send


def event_sender(response: web.StreamResponse, stall_s: float) -> Send:
    """A sender of server-sent events; the event id is the cursor. Source: HTML Living Standard, section 9.2."""

    async def send(frames: Sequence[Frame]) -> None:
        for data in slices(part for frame in frames for part in _event(frame)):
            async with asyncio.timeout(stall_s):
                await response.write(data)

    return send


def _event(frame: Frame) -> Iterator[bytes | memoryview]:
    yield f"id: {frame.cursor}\ndata: ".encode() if frame.cursor else b"data: "
    yield frame.text_view
    yield b"\n\n"


def slices(parts: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """The bytes of `parts` in slices of at most 64 KiB: small parts are joined, large ones are not copied."""
    small: list[bytes | memoryview] = []
    size = 0
    for part in parts:
        if size + len(part) > _SLICE_BYTES and small:
            yield b"".join(small)
            small, size = [], 0
        if len(part) > _SLICE_BYTES:
            view = memoryview(part)
            yield from (view[start : start + _SLICE_BYTES] for start in range(0, len(view), _SLICE_BYTES))
        else:
            small.append(part)
            size += len(part)
    if small:
        yield b"".join(small)

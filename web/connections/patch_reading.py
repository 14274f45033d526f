"""aiohttp's handler of a connection, which parses what arrives a piece at a time, in turn with other connections.

Private parts of aiohttp 3.14 are used here, as in `patch_connections.py`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiohttp import StreamReader, web
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from web.connections.read_turns import PIECE_BYTES, TURN_S
from web.connections.rounds import Rounds
from web.connections.turn_queue import TurnQueue
from web.http.tracebacks import forget_tracebacks

#: Chunks of a body that wait to be read: a reader takes all of them at once. Measured: with aiohttp's limit of 4,096,
#: bodies in chunks of one byte kept the event loop for 50 to 150 ms.
_MOST_CHUNKS = 512

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class TurnTakingHandler(RequestHandler):
    """A connection whose source waits for its turns.

    Its transport is paused by aiohttp while a body is not read, and here while bytes that have arrived wait.
    """

    __slots__ = (
        "_arrived",
        "_ending",
        "_is_held",
        "_is_waiting",
        "_next_turn",
        "_parsed",
        "_queue",
        "_resuming",
        "_rounds",
        "_source",
        "_took_s",
        "_turns",
        "_waiter",
    )

    def __init__(self, server: web.Server, source: str, queue: TurnQueue, rounds: Rounds) -> None:
        super().__init__(server, loop=server._loop, **server._kwargs)
        self._source, self._queue, self._turns, self._rounds = source, queue, queue.turns, rounds
        #: What has not been parsed: at most what two reads of the transport give.
        self._arrived = bytearray()
        self._next_turn: asyncio.Handle | None = None
        #: Set when the connection is lost, but not ended yet.
        self._ending: Callable[[], None] | None = None
        self._resuming: asyncio.Handle | None = None
        #: Whether it has a place in the queue, and whether its transport is paused here.
        self._is_waiting = self._is_held = False
        #: Seconds and bytes of the piece before, also what aiohttp parsed of it later, while its body was read.
        self._took_s, self._parsed = 0.0, 0

    @property
    def _handler_waiter(self) -> "asyncio.Future[None] | None":
        """What a server that stops waits for, until it has given up: aiohttp would still set its result, and fail."""
        return None if self._waiter is None or self._waiter.done() else self._waiter

    @_handler_waiter.setter
    def _handler_waiter(self, waiter: "asyncio.Future[None] | None") -> None:
        self._waiter = waiter

    def data_received(self, data: bytes) -> None:
        """Parse it, now or in a later turn."""
        if not data:  # aiohttp goes on with what it has
            self._parse(data)
        elif self._arrived or self._has_turn():
            self._arrived += data
            if len(self._arrived) > PIECE_BYTES:
                self._hold()
        elif self._is_plain(len(data)):
            super().data_received(data)
        elif not self._rounds.enter():
            self._wait_for_round(data)
        elif self._wait_s() == 0.0 and len(data) <= self._turns.piece_bytes(self._source):
            self._parse(data)
        else:
            self._arrived += data
            self._go_on()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End it once a request that has arrived was begun with: that of a client that does not wait counts, too."""
        if self._is_waiting and self._wait_s() == 0.0:
            self._ending = lambda: self._end(exc)  # with its round
        elif self._messages:
            self._loop.call_soon(self._end, exc)
        else:
            self._end(exc)

    def _end(self, exc: BaseException | None) -> None:
        for handle in (self._next_turn, self._resuming):
            if handle is not None:
                handle.cancel()
        self._next_turn = self._resuming = self._ending = None
        self._queue.leave(self._source, self._go_on)
        self._rounds.leave(self._source, self._go_on)
        self._arrived.clear()
        super().connection_lost(exc)
        self._data_received_cb = None  # of a websocket, which has this handler: a cycle

    async def _handle_request(
        self, request: web.BaseRequest, start_time: float | None, request_handler: _Handler
    ) -> tuple[web.StreamResponse, bool]:
        """Serve the request, and leave the error that ended its body without its traceback."""
        try:
            return await super()._handle_request(request, start_time, request_handler)
        finally:
            forget_tracebacks(request._payload.exception())

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the response, and parse what came behind a refused upgrade."""
        finished = await super().finish_response(request, resp, start_time)
        self._forget_traceback()
        return finished

    def _forget_traceback(self) -> None:
        """Leave an error of the parser without its traceback, which leads to this handler."""
        if self._messages and isinstance(error := self._messages[-1][0], _ErrInfo):
            forget_tracebacks(error.exc)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on, once for all chunks that the reader of a body takes at a time.

        aiohttp's goes on parsing for each of them: a body in chunks of one byte held the event loop for 1.3 s.
        """
        if not resume_parser:
            super().resume_reading(resume_parser)
        elif self._resuming is None:
            self._resuming = self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        self._resuming = None
        super().resume_reading()

    def _is_plain(self, size: int) -> bool:
        """Whether the next bytes are all of a body of known length: there is nothing in them to parse."""
        request = self._current_request
        if request is None or self._messages or request.content_length is None:
            return False
        body = request._payload
        return not body.is_eof() and body.total_bytes + size <= request.content_length

    def _wait_for_round(self, data: bytes) -> None:
        self._arrived += data
        self._is_waiting = True
        self._rounds.join(self._source, self._go_on)

    def _resume_transport_reading(self) -> None:
        if self._has_turn():
            return
        if self._arrived:
            self._next_turn = self._loop.call_soon(self._go_on)
        else:
            super()._resume_transport_reading()

    def _go_on(self) -> None:
        """Take a turn, then read on, or wait for the next one."""
        self._next_turn, self._is_waiting = None, False
        must_wait = self._take_turn()
        is_paused = self._reading_paused or self._buffer_paused
        if self._ending is not None:
            self._loop.call_soon(self._ending)  # the task that serves what was parsed now is called before
        elif self.transport is None or self.transport.is_closing():
            self._arrived.clear()
        elif must_wait:
            self._hold()
            self._is_waiting = True
            self._queue.join(self._source, self._go_on)
        elif self._arrived and not is_paused:
            self._hold()
            self._next_turn = self._loop.call_soon(self._go_on)
        elif self._is_held and not is_paused:
            self._is_held = False
            super()._resume_transport_reading()

    def _has_turn(self) -> bool:
        """Whether a turn is to come."""
        return self._is_waiting or self._next_turn is not None

    def _hold(self) -> None:
        self._is_held = True
        self._pause_transport_reading()

    def _take_turn(self) -> bool:
        """Parse what has arrived, for as long as a turn. Whether the source has to wait for the next one."""
        until = self._loop.time() + TURN_S
        while (wait_s := self._wait_s()) == 0.0 and self._arrived and self._loop.time() < until:
            if self._reading_paused or self._buffer_paused:
                break
            size = self._turns.piece_bytes(self._source)
            piece = bytes(self._arrived[:size])
            del self._arrived[:size]
            self._parse(piece)
        return wait_s > 0.0

    def _parse(self, data: bytes) -> None:
        began = time.perf_counter()
        super().data_received(data)
        if self._messages and isinstance(body := self._messages[-1][1], StreamReader):
            body._high_water_chunks, body._low_water_chunks = _MOST_CHUNKS, _MOST_CHUNKS // 2
        self._forget_traceback()
        self._took_s += time.perf_counter() - began
        self._parsed += len(data)

    def _wait_s(self) -> float:
        """Seconds until the next piece may be parsed, of which the one before is part."""
        now = self._loop.time()
        self._turns.charge(self._source, self._took_s, self._parsed, now)
        self._took_s, self._parsed = 0.0, 0
        return self._turns.wait_s(self._source, now)

"""aiohttp's server with a limit on connections: private parts of aiohttp 3.14 are used here and in `patch_reading.py`.

Beyond the limit a connection that has not sent a request yet makes place for the new one, else the one that is idle for
longest, so that sockets that send nothing, or a header byte a minute, cost nobody else his connection. A connection
that does not take what is sent is aborted.
"""

import asyncio
import logging
import socket
import struct
from collections import OrderedDict
from itertools import count
from typing import Any

from aiohttp import web

from streams.process.turns import in_turns
from web.connections.admission import Admission, source_of
from web.connections.patch_reading import TurnTakingHandler
from web.connections.read_turns import ReadTurns
from web.connections.rounds import Rounds
from web.connections.turn_queue import TurnQueue

log = logging.getLogger("kinolog.web")

_SWEEP_S = 5.0
#: Connections that a sweep looks at at a time.
_PART = 250
#: Unsent bytes of a connection that the kernel holds. Otherwise it holds 2 to 4 MB for each client that does not read,
#: and who reads slowly looks like who reads. Source: tcp(7), TCP_NOTSENT_LOWAT.
_UNSENT_BYTES = 128 * 1024
#: Close with a reset, so that the kernel keeps nothing for the client. Source: socket(7), SO_LINGER.
_RESET = struct.pack("ii", 1, 0)
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 22\r\n"
    b"Content-Type: text/plain\r\n\r\ntoo many connections.\n"
)


class BoundedRunner(web.AppRunner):
    """An AppRunner whose server has at most `most` connections, and aborts those stalled for `stall_s`."""

    def __init__(
        self, app: web.Application, *, most: int, stall_s: float, admission: Admission, **options: Any
    ) -> None:
        super().__init__(app, **options)
        self._most, self._stall_s, self.admission = most, stall_s, admission
        self.connections: Connections | None = None
        self._sweeping: asyncio.Task[None] | None = None

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        self.connections = Connections(server, self._most, self.admission)
        self._sweeping = asyncio.create_task(Sweeper(server, self._stall_s).run())
        return server

    async def _cleanup_server(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        await super()._cleanup_server()


class Connections:
    """The connections of a server: a limit on them, and of which address each is."""

    def __init__(self, server: web.Server, most: int, admission: Admission) -> None:
        self._server, self._most, self._admission = server, most, admission
        self._opened, self._lost = server.connection_made, server.connection_lost
        #: Connections that had no request when they were last looked at, the oldest first.
        self._silent: OrderedDict[Any, None] = OrderedDict()
        self._addresses: dict[Any, str] = {}
        self._queue, self._rounds, self._numbers = TurnQueue(ReadTurns()), Rounds(), count()
        server.connection_made = self._connection_made  # type: ignore[method-assign]
        server.connection_lost = self._connection_lost  # type: ignore[method-assign]

    async def establish(self, accepted: socket.socket, address: str) -> None:
        """Serve an accepted socket whose address admission has counted."""
        source = source_of(address) if self._admission.tells_clients_apart else str(next(self._numbers))
        handler = TurnTakingHandler(self._server, source, self._queue, self._rounds)
        self._addresses[handler] = address
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: handler, accepted)
        except OSError:  # the client has left
            self._leave(handler)
            accepted.close()

    def _connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        self._opened(handler, transport)
        self._silent[handler] = None
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        if len(self._server._connections) > self._most and not self._close_idle(handler):
            transport.write(_REFUSAL)
            handler.force_close()

    def _connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        self._lost(handler, exc)
        self._silent.pop(handler, None)
        self._leave(handler)

    def _leave(self, handler: Any) -> None:
        if (address := self._addresses.pop(handler, None)) is not None:
            self._admission.leave(address)

    def _close_idle(self, newest: Any) -> bool:
        """Close the oldest connection that has sent no request, else the longest idle one. Whether there was one."""
        closed = self._oldest_silent(newest) or self._longest_idle(newest)
        if closed is not None:
            closed.force_close()
        return closed is not None

    def _oldest_silent(self, newest: Any) -> Any:
        while (handler := next(iter(self._silent))) is not newest:
            del self._silent[handler]
            if handler._request_count == 0 and not handler._force_close:
                return handler
        return None

    def _longest_idle(self, newest: Any) -> Any:
        idle = [
            handler
            for handler in self._server._connections
            if handler._current_request is None and not handler._force_close and handler is not newest
        ]
        return min(idle, key=lambda handler: handler._next_keepalive_close_time, default=None)


class Sweeper:
    """Aborts connections whose client has not read for `stall_s`: nothing else ends a response to it."""

    def __init__(self, server: web.Server, stall_s: float) -> None:
        self._server, self._stall_s = server, stall_s
        #: Unsent bytes, and since when they are the same, by connection.
        self._unsent: dict[Any, tuple[int, float]] = {}

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(min(_SWEEP_S, self._stall_s / 2))
            await self._sweep(asyncio.get_running_loop().time())

    async def _sweep(self, now: float) -> None:
        """Abort what has stalled; a part of the connections at a time: 10,000 of them take 20 ms."""
        before, self._unsent, aborted = self._unsent, {}, 0
        # A list of pairs would be 10,000 objects for collections of garbage to look at.
        async for transport in in_turns(list(self._server._connections.values()), _PART):
            if not (size := transport.get_write_buffer_size()):
                continue
            known, since = before.get(transport, (0, now))
            if size == known and now - since >= self._stall_s:
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                transport.abort()
                aborted += 1
            else:
                self._unsent[transport] = (size, since if size == known else now)
        if aborted:
            log.info("stalled connections aborted", extra={"count": aborted})

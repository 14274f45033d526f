"""aiohttp's server with a limit on connections: private parts of aiohttp 3.14 are used here and nowhere else.

Beyond the limit the oldest connection without a request makes place for the new one, so that sockets that send nothing,
or a header byte a minute, cost nobody else his connection. A connection that does not take what is sent is aborted.
"""

import asyncio
import logging
import socket
import struct
from typing import Any

from aiohttp import web

log = logging.getLogger("kinolog.web")

_SWEEP_S = 5.0
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

    def __init__(self, app: web.Application, *, most: int, stall_s: float, **options: Any) -> None:
        super().__init__(app, **options)
        self._most, self._stall_s = most, stall_s
        self._sweeping: asyncio.Task[None] | None = None

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        limit_connections(server, self._most)
        self._sweeping = asyncio.create_task(Sweeper(server, self._stall_s).run())
        return server

    async def _cleanup_server(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        await super()._cleanup_server()


def limit_connections(server: web.Server, most: int) -> None:
    """Limit the connections of a server."""
    opened = server.connection_made

    def connection_made(handler: Any, transport: asyncio.Transport) -> None:
        opened(handler, transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        if len(server._connections) > most and not _close_idle(server, but=handler):
            transport.write(_REFUSAL)
            handler.force_close()

    server.connection_made = connection_made  # type: ignore[method-assign]


def _close_idle(server: web.Server, but: Any) -> bool:
    """Close the oldest connection without a request. Returns whether there was one."""
    for handler in server._connections:
        if handler._current_request is None and not handler._force_close and handler is not but:
            handler.force_close()
            return True
    return False


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
            self.sweep(asyncio.get_running_loop().time())

    def sweep(self, now: float) -> None:
        """Abort what has stalled."""
        before, self._unsent, aborted = self._unsent, {}, 0
        for handler, transport in list(self._server._connections.items()):
            size = transport.get_write_buffer_size()
            known, since = before.get(handler, (0, now))
            if not size:
                continue
            if size == known and now - since >= self._stall_s:
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                transport.abort()
                aborted += 1
            else:
                self._unsent[handler] = (size, since if size == known else now)
        if aborted:
            log.info("stalled connections aborted", extra={"count": aborted})

"""The listening sockets: a few connections are accepted at a time, and those of a flood are refused before they cost.

asyncio's and uvloop's servers accept until nobody waits, and make a transport, a handler and a task for each: 0.1 ms.
Measured: 6,000 connections a second of one client held the event loop for up to 0.4 s.
"""

import asyncio
import errno
import logging
import socket
import struct
import time
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import web

from streams.process.ports import name_to_bind
from web.connections.admission import Admission
from web.connections.patch_connections import BoundedRunner

log = logging.getLogger("kinolog.web")

#: Connections accepted before others are served again.
_AT_A_TIME = 1
#: Refusals before others are served again: one costs some 10 us.
_REFUSED_AT_A_TIME = 4
#: The longest time for these, seconds: while other threads compute, one refusal can take a millisecond.
_LONGEST_S = 0.0002
#: Pause without files for further connections, seconds.
_PAUSE_S = 1.0
#: Close with a reset, so that the kernel keeps nothing. Source: socket(7), SO_LINGER.
_RESET = struct.pack("ii", 1, 0)

#: Serves an accepted socket of an address.
Establish = Callable[[socket.socket, str], Coroutine[Any, Any, None]]


class Listener:
    """Accepts connections of listening sockets, in turn with everything else on the event loop."""

    def __init__(self, sockets: list[socket.socket], admission: Admission, establish: Establish) -> None:
        self.sockets = sockets
        self._admission, self._establish = admission, establish
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        #: Connections refused since the last report.
        self._refused = 0
        for one in sockets:
            self._loop.add_reader(one, self._accept, one)

    def close(self) -> None:
        """Accept no more."""
        for one in self.sockets:
            self._loop.remove_reader(one)
            one.close()
        self.sockets = []

    async def wait_closed(self) -> None:
        """Nothing is left to wait for once it is closed."""

    def _accept(self, listening: socket.socket) -> None:
        accepted = refused = 0
        until = time.perf_counter() + _LONGEST_S
        while accepted < _AT_A_TIME and refused < _REFUSED_AT_A_TIME and (not refused or time.perf_counter() < until):
            try:
                connection, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(listening, error)
                return
            if self._admission.enter(address[0], self._loop.time()):
                self._begin(connection, address[0])
                accepted += 1
            else:
                self._refuse(connection)
                refused += 1

    def _begin(self, connection: socket.socket, address: str) -> None:
        connection.setblocking(False)
        task = self._loop.create_task(self._establish(connection, address))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def _refuse(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.close()
        if not self._refused:
            self._loop.call_later(_PAUSE_S, self._report)
        self._refused += 1

    def _report(self) -> None:
        log.warning("connections refused: too many of one address", extra={"count": self._refused})
        self._refused = 0

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        """Without files or memory the next try would fail, too."""
        if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            raise error
        log.error("cannot accept connections", extra={"reason": error.strerror})
        self._loop.remove_reader(listening)
        self._loop.call_later(_PAUSE_S, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        if listening in self.sockets:
            self._loop.add_reader(listening, self._accept, listening)


class BoundedSite(web.BaseSite):
    """The address that the server binds."""

    def __init__(self, runner: BoundedRunner, host: str, port: int, *, backlog: int = 1024) -> None:
        super().__init__(runner, backlog=backlog)
        self._host, self._port, self._bounds = host, port, runner

    @property
    def name(self) -> str:
        """The URL that was asked for."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Bind and listen. Raises OSError."""
        await super().start()
        connections = self._bounds.connections
        assert connections is not None
        sockets = await _bound(self._host, self._port, self._backlog)
        self._server = Listener(  # type: ignore[assignment] # what a site needs of a server
            sockets, self._bounds.admission, connections.establish
        )


async def _bound(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Listening sockets of every address of the host; of "::", those of both versions. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(name_to_bind(host), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((one[0], one[4]) for one in found):
            free = sockets[0].getsockname()[1] if sockets else address[1]  # 0 is any port, but the same for all
            sockets.append(_listening(family, (address[0], free, *address[2:]), backlog))
    except OSError:
        for one in sockets:
            one.close()
        raise
    return sockets


def _listening(family: int, address: tuple[object, ...], backlog: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setblocking(False)
        made.bind(address)
        made.listen(backlog)
    except OSError:
        made.close()
        raise
    return made

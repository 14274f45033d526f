"""Connections of an abuser: raw sockets, because a client library would be too well behaved."""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

Address = tuple[str, int]

#: Seconds between connections of one abuser that were refused.
_AGAIN_S = 1.0


def address(url: str) -> Address:
    """Host and port."""
    parts = urlsplit(url)
    assert parts.hostname is not None and parts.port is not None
    return parts.hostname, parts.port


def head(method: str, path: str, token: str, *more: str) -> bytes:
    """The head of a request, without the empty line."""
    lines = [f"{method} {path} HTTP/1.1", "Host: kinolog", f"Authorization: Bearer {token}", *more]
    return "".join(f"{line}\r\n" for line in lines).encode()


@dataclass
class Outcomes:
    """The responses to one kind of abuse, by status."""

    #: IP address of its connections.
    source: str = "127.0.0.1"
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, first_line: bytes) -> None:
        """Count a response."""
        self.counts[first_line[9:12].decode(errors="replace")] += 1


class Unread(asyncio.Protocol):
    """A connection that sends something and reads the first line of the response, then nothing more."""

    def __init__(self, sends: bytes, outcomes: Outcomes) -> None:
        self._sends, self._outcomes = sends, outcomes
        self.transport: asyncio.Transport | None = None
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._sends)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1"):
            self._outcomes.note(data)
        if self.transport is not None and data.startswith(b"HTTP/1.1 200"):
            self.transport.pause_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


async def hold(where: Address, sends: bytes, outcomes: Outcomes, drip: bytes = b"", every_s: float = 1.0) -> None:
    """Keep one connection for ever, sending `drip` again and again; when it is closed, another one."""
    loop = asyncio.get_running_loop()
    while True:
        with contextlib.suppress(OSError):
            _, connection = await loop.create_connection(
                lambda: Unread(sends, outcomes), *where, local_addr=(outcomes.source, 0)
            )
            try:
                while not connection.closed.done():
                    await asyncio.wait([connection.closed], timeout=every_s)
                    if drip and connection.transport is not None and not connection.transport.is_closing():
                        connection.transport.write(drip)
            finally:
                if connection.transport is not None:
                    connection.transport.abort()
        await asyncio.sleep(_AGAIN_S)

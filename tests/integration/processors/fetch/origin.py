"""A server on loopback that answers as a test says, byte by byte, and one that nobody may ever reach."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

#: Starts like an MP4.
MP4_HEAD = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"
MEDIA = MP4_HEAD + bytes(range(256)) * 400

Play = Callable[[asyncio.StreamWriter, Mapping[str, str]], Awaitable[None]]


def answer(body: bytes = MEDIA, status: str = "200 OK", length: int | None = None, **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name}: {value}" for name, value in named.items()]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


def redirect(target: str, status: str = "302 Found") -> bytes:
    return answer(b"", status, Location=target)


@dataclass
class Origin:
    """What it answers by path: bytes, or a function that writes."""

    port: int = 0
    plays: dict[str, bytes | Play] = field(default_factory=dict)
    #: (path, headers) of each request.
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    #: What comes from whom is written to.
    readers: dict[asyncio.StreamWriter, asyncio.StreamReader] = field(default_factory=dict)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has seen enough
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.readers[writer] = reader
        request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = request[0].split(" ")[1]
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in request[1:] if line)
        }
        self.asked.append((path, headers))
        play = self.plays.get(path, answer(b"", "404 Not Found"))
        if isinstance(play, bytes):
            writer.write(play)
        else:
            await play(writer, headers)
        await writer.drain()


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[Origin]:
    origin = Origin()
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0)
    origin.port = server.sockets[0].getsockname()[1]
    async with server:
        yield origin


class Forbidden:
    """Listens on loopback, IPv4 and IPv6, on one port, and counts who came."""

    def __init__(self) -> None:
        self.port = 0
        self.reached = 0

    async def serve(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached += 1
        writer.write(answer())
        writer.close()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Forbidden"]:
        first = await asyncio.start_server(self.serve, "0.0.0.0", 0)
        self.port = first.sockets[0].getsockname()[1]
        second = await asyncio.start_server(self.serve, "::", self.port, family=socket.AF_INET6)
        async with first, second:
            yield self


class Names(AbstractResolver):
    """A name server of the attacker's: each name's answers, one after another, the last one for ever."""

    def __init__(self, **answers: list[str]) -> None:
        self._answers = {name.replace("_", "."): list(found) for name, found in answers.items()}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self._answers.get(host)
        if found is None:
            try:
                # Numbers in every spelling that the system's resolver takes; nobody is asked for other names.
                infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
            except OSError as error:
                raise OSError(None, f"no such name: {host}") from error
            addresses = [(str(info[4][0]), info[0]) for info in infos]
        else:
            text = found.pop(0) if len(found) > 1 else found[0]
            addresses = [(one, socket.AF_INET6 if ":" in one else socket.AF_INET) for one in text.split("+")]
        return [self._result(host, address, port, kind) for address, kind in addresses]

    def _result(self, host: str, address: str, port: int, family: Any) -> ResolveResult:
        return ResolveResult(
            hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
        )

    async def close(self) -> None:
        """Nothing to close."""

"""What a connection sends is parsed in pieces and turns, and all of it arrives, in order."""

import asyncio
import gc
import hashlib
import random
import socket
import zlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from streams.settings import load
from tests.conftest import eventually
from tests.uncollected import uncollected
from web.connections import read_turns
from web.connections.listener import BoundedSite
from web.connections.patch_reading import TurnTakingHandler
from web.server import make_runner

_HEAD = b"POST / HTTP/1.1\r\nHost: kinolog\r\n"
_PINGS = b"\x89\x80\0\0\0\0" * 500
_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def served() -> list[str]:
    """Addresses of the requests that the server of `port` has begun with, in order."""
    return []


@pytest.fixture
async def port(served: list[str]) -> AsyncIterator[int]:
    """Of a server that answers with the digest of a body, which it reads at once, slowly, or once it is full."""

    async def digest(request: web.Request) -> web.Response:
        served.append(request.remote or "")
        found, sizes = hashlib.sha256(), [0]
        while "X-Late" in request.headers and not request.protocol._reading_paused:
            await asyncio.sleep(0.001)
        async for piece in request.content.iter_any():
            found.update(piece)
            sizes.append(len(piece))
            if "X-Slow" in request.headers:
                await asyncio.sleep(0.001)
        return web.Response(text=found.hexdigest(), headers={"X-Largest": str(max(sizes))})

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.1)
        return web.Response()

    app = web.Application()
    app.router.add_post("/", digest)
    app.router.add_get("/slow", slow)
    runner = make_runner(app, load({}).web)
    await runner.setup()
    await BoundedSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def _chunked(body: bytes, sizes: random.Random | None) -> bytes:
    made, at = [], 0
    while at < len(body):
        size = 1 if sizes is None else sizes.randint(1, 50_000)
        piece = body[at : at + size]
        made.append(b"%x\r\n%b\r\n" % (len(piece), piece))
        at += size
    return _CHUNKED + b"".join(made) + b"0\r\n\r\n"


#: Leading zeros, and an extension, as nobody needs them. Source: RFC 9112 section 7.1.
_WRAPPED = b"%b1;a=%b\r\nx\r\n" % (b"0" * 200, b"b" * 4_000)
_LARGE, _SMALL = random.Random(1).randbytes(3_000_000), random.Random(2).randbytes(60_000)
_BODIES = {
    "with its length": (_LARGE, b"Content-Length: %d\r\n\r\n%b" % (len(_LARGE), _LARGE)),
    "in chunks": (_LARGE, _chunked(_LARGE, random.Random(3))),
    "in chunks of one byte": (_SMALL, _chunked(_SMALL, None)),
    "in chunks with long extensions": (b"x" * 500, _CHUNKED + _WRAPPED * 500 + b"0\r\n\r\n"),
}


@pytest.mark.parametrize("slow", [b"", b"X-Slow: 1\r\n"], ids=["read at once", "read slowly"])
@pytest.mark.parametrize("kind", _BODIES)
async def test_every_byte_of_a_body_arrives_and_the_request_behind_it_too(port: int, kind: str, slow: bytes) -> None:
    body, sent = _BODIES[kind]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(_HEAD + slow + sent)
    async with asyncio.timeout(60):
        for _ in range(2):
            assert await _answer(reader) == hashlib.sha256(body).hexdigest()
    writer.close()


async def test_small_chunks_are_taken_some_at_a_time(port: int) -> None:
    """Each takes the event loop for a moment, and a reader takes all that are there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_HEAD + b"X-Late: 1\r\n" + _chunked(_SMALL, None))
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
    assert 1 <= int(head.partition(b"X-Largest: ")[2].split()[0]) < 3_000
    writer.close()


async def test_many_requests_at_once_are_answered_in_order(port: int) -> None:
    bodies = [b"%d" % number * 300 for number in range(400)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(_HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies))
    async with asyncio.timeout(60):
        for body in bodies:
            assert await _answer(reader) == hashlib.sha256(body).hexdigest()
    writer.close()


@pytest.fixture
def nobody_is_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine makes nobody dear to parse: pieces take long there."""
    monkeypatch.setattr(read_turns, "_FREE_S", 60.0)


@pytest.mark.usefixtures("nobody_is_dear")
async def test_a_burst_of_one_address_does_not_keep_another_waiting(port: int, served: list[str]) -> None:
    """All of it arrives at one moment, the other's request last."""
    crowd = [socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.3", 0)) for _ in range(150)]
    other = socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0))
    await eventually(lambda: len(asyncio.all_tasks()) > 150)  # the server has accepted them
    await asyncio.sleep(0.05)
    for connection in (*crowd, other):
        connection.sendall(_HEAD + b"Content-Length: 1\r\n\r\nx")
    await eventually(lambda: len(served) == 151, 60)
    for connection in (*crowd, other):
        connection.close()
    assert served.index("127.0.0.2") < 20


@pytest.mark.usefixtures("nobody_is_dear")
async def test_requests_of_clients_that_do_not_wait_for_the_answer_are_served(port: int, served: list[str]) -> None:
    """They connect, send and close, all at one moment."""
    crowd = [socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.3", 0)) for _ in range(100)]
    await asyncio.sleep(0.2)
    for connection in crowd:
        connection.sendall(_HEAD + b"Content-Length: 1\r\n\r\nx")
        connection.close()
    await eventually(lambda: len(served) == 100, 30)


@pytest.mark.usefixtures("nobody_is_dear")
async def test_a_client_that_pipelines_does_not_keep_another_waiting(port: int, served: list[str]) -> None:
    """dabeaz/curio#106, tempesta-tech/tempesta#1065: 400 requests are there at once, all of one connection."""
    request = _HEAD + b"Content-Length: 1\r\n\r\nx"
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.3", 0))
    _, other = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
    await asyncio.sleep(0.05)
    writer.write(request * 400)
    other.write(request)
    async with asyncio.timeout(60):
        for _ in range(400):
            await _answer(reader)
    writer.close()
    other.close()
    assert served.index("127.0.0.2") < 20


async def test_a_compressed_body_stays_as_it_is(port: int) -> None:
    """Nothing is inflated before a request is looked at: 300 KB would be 300 MB."""
    packed = zlib.compress(bytes(1_000_000), 9)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_HEAD + b"Content-Encoding: deflate\r\nContent-Length: %d\r\n\r\n%b" % (len(packed), packed))
    assert await _answer(reader) == hashlib.sha256(packed).hexdigest()
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> str:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return (await reader.readexactly(64)).decode()


async def test_a_request_that_ends_as_the_server_gives_up_waiting_for_it_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """aiohttp then sets the result of a future that is cancelled."""
    arrived = asyncio.Event()

    async def last(request: web.Request) -> web.Response:
        arrived.set()
        while (waiter := request.protocol._waiter) is None or not waiter.cancelled():
            await asyncio.sleep(0)
        return web.Response()

    app = web.Application()
    app.router.add_get("/", last)
    runner = make_runner(app, load({}).web)
    runner._shutdown_timeout = 0.05
    await runner.setup()
    await BoundedSite(runner, "127.0.0.1", 0).start()
    _, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
    writer.write(b"GET / HTTP/1.1\r\nHost: kinolog\r\n\r\n")
    await arrived.wait()
    await runner.cleanup()
    writer.close()
    assert [record.getMessage() for record in caplog.records if record.name == "aiohttp.server"] == []


async def test_what_a_connection_leaves_is_freed_when_it_ends(port: int) -> None:
    # Reports: python-websockets/websockets#1749, aio-libs/aiohttp#10535 (closed ones wait for a collection).
    with uncollected() as objects:
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /slow HTTP/1.1\r\nHost: kinolog\r\n\r\n")
            await asyncio.sleep(0.01)
            writer.write(_PINGS)  # which are parsed as a request, and nobody waits for its answer
            await asyncio.sleep(0.01)
            writer.transport.abort()
        await asyncio.sleep(0.5)  # until the slow ones have ended
        gc.collect()
        assert [one for one in objects if isinstance(one, TurnTakingHandler)] == []

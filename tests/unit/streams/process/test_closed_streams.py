"""A connection that its server has closed is the error that clients handle, also under uvloop."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from streams.process import closed_streams


@pytest.fixture(autouse=True)
def as_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("write", "writelines"):
        monkeypatch.setattr(asyncio.StreamWriter, name, getattr(closed_streams, name))


async def _closed_stream() -> asyncio.StreamWriter:
    """A stream whose connection is gone, as its owner has not noticed yet."""
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.transport.abort()
        await asyncio.sleep(0.05)
    return writer


@pytest.mark.parametrize(
    "write",
    [lambda stream: stream.write(b"x"), lambda stream: stream.writelines([b"x", b"y"])],
    ids=["write", "writelines"],
)
def test_a_write_to_a_closed_connection_is_a_reset(write: Callable[[asyncio.StreamWriter], None]) -> None:
    async def attempt() -> None:
        write(await _closed_stream())

    with pytest.raises(ConnectionResetError):
        uvloop.run(attempt())


def test_other_errors_of_a_write_stay_what_they_are() -> None:
    async def attempt() -> None:
        async with await asyncio.start_server(_until_its_end, "127.0.0.1", 0) as server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write_eof()
            try:
                writer.write(b"x")
            finally:
                writer.close()

    with pytest.raises(RuntimeError, match="write_eof"):
        uvloop.run(attempt())


async def _until_its_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()

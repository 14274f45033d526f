"""The listening sockets: a flood is refused, and without files for connections the event loop goes on."""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator

import pytest

from streams.process.ports import is_free
from tests.conftest import eventually
from web.connections import listener
from web.connections.admission import Admission
from web.connections.listener import Listener


class Exhausted(socket.socket):
    """A listening socket of a process that has no file for another connection, the first time."""

    tries = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.tries += 1
        if self.tries == 1:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


@pytest.fixture
async def listening() -> AsyncIterator[Exhausted]:
    made = Exhausted()
    made.setblocking(False)
    made.bind(("127.0.0.1", 0))
    made.listen(100)
    yield made
    made.close()


def _serve(listening: Exhausted, admission: Admission) -> tuple[Listener, list[socket.socket]]:
    served: list[socket.socket] = []

    async def establish(connection: socket.socket, _address: str) -> None:
        served.append(connection)

    return Listener([listening], admission, establish), served


async def test_without_files_it_pauses_and_accepts_later(
    listening: Exhausted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It neither stops for good (python/asyncio#78) nor tries without end (joyent/libuv#690)."""
    monkeypatch.setattr(listener, "_PAUSE_S", 0.2)
    server, served = _serve(listening, Admission(0, 0))
    with socket.create_connection(listening.getsockname()), caplog.at_level(logging.ERROR):
        await eventually(lambda: served, 30)
    assert listening.tries <= 3
    assert [record.message for record in caplog.records] == ["cannot accept connections"]
    served[0].close()
    server.close()


async def test_connections_beyond_the_limit_are_reset_and_earlier_ones_stay(listening: Exhausted) -> None:
    listening.tries = 1
    server, served = _serve(listening, Admission(per_address=2, per_s=0))
    clients = [socket.create_connection(listening.getsockname()) for _ in range(5)]
    await eventually(lambda: len([one for one in clients if _is_reset(one)]) == 3, 30)
    assert len(served) == 2
    for one in (*clients, *served):
        one.close()
    server.close()
    await asyncio.sleep(0)


def _is_reset(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "host, reached",
    [
        ("0.0.0.0", {"127.0.0.1"}),
        ("127.0.0.1", {"127.0.0.1"}),
        *([("::", {"127.0.0.1", "::1"}), ("::1", {"::1"})] if is_free(0, "::1") else []),  # where there is IPv6
    ],
)
async def test_the_address_that_stands_for_all_is_of_both_versions(host: str, reached: set[str]) -> None:
    sockets = await listener._bound(host, 0, 10)
    port = sockets[0].getsockname()[1]
    found = set[str]()
    for address in ("127.0.0.1", "::1"):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((address, port), 10):
            found.add(address)
    for one in sockets:
        one.close()
    assert found == reached

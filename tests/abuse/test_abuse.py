"""One token abuses a replica: its memory stays bounded, and everybody else is served."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.abuse.attacker import Attacker
from tests.abuse.measure import Abused, abused_replica
from tests.abuse.sockets import Outcomes, address, head, hold
from tests.conftest import eventually

#: Much less than one snapshot (0.8 MB) or one list (1 MB) for each of the connections.
_GROWTH_MB = 150.0
_SOCKETS = 2_000


@pytest.fixture
def replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Abused]:
    for name, value in {"MAX_CONNECTIONS": "1000", "SEND_STALL_S": "2", "IDLE_S": "4"}.items():
        monkeypatch.setenv(f"KINOLOG_WEB__{name}", value)
    with (tmp_path / "log").open("wb") as log, abused_replica(log=log) as started:
        yield started
    assert "Traceback" not in (tmp_path / "log").read_text(), "a client that leaves, or sends garbage, is no error"


async def test_all_kinds_of_abuse_at_once_are_bounded_and_others_are_served(replica: Abused) -> None:
    await replica.others_wait_s(1.0)
    before_mb = replica.memory_mb()
    attacker = Attacker(replica.url)
    await attacker.begin(_SOCKETS)
    try:
        for _ in range(3):
            _, wrong = await replica.others_wait_s(2.0)
            assert wrong == []
    finally:
        await attacker.end()
    assert replica.memory_mb("VmHWM") - before_mb < _GROWTH_MB
    refused = {name for name, found in attacker.outcomes.items() if found.counts["429"]}
    assert refused >= {"unread-sse", "wrong-tokens"}


async def test_three_hundred_idle_event_streams_cost_less_than_one_snapshot_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KINOLOG_WEB__LIVE_PER_CALLER", "300")
    with abused_replica() as replica:
        before_mb = replica.memory_mb()
        tasks, outcomes = _held(replica, "/v1/live/sse?subscribe=all", 300)
        await eventually(lambda: outcomes.counts["200"] == 300, 60, 0.1)
        assert replica.memory_mb("VmHWM") - before_mb < 60
        await _cancelled(tasks)


async def test_a_client_that_does_not_read_is_cut(replica: Abused) -> None:
    with socket.socket() as dead:
        dead.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        dead.connect(address(replica.url))
        dead.sendall(head("GET", "/v1/jobs/export?format=json", "anna-views") + b"\r\n")
        error = await eventually(lambda: dead.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 60, 0.1)
    assert error == errno.ECONNRESET


async def test_sockets_that_send_nothing_do_not_keep_others_out(replica: Abused) -> None:
    attacker = Attacker(replica.url)
    await attacker.begin(2_500, ("silent", "slow-headers"))
    _, wrong = await replica.others_wait_s(3.0)
    assert wrong == []
    assert replica.open_files() < 1_200
    await attacker.end()


async def test_a_client_that_is_in_use_keeps_its_connection_while_others_are_closed(replica: Abused) -> None:
    """The oldest connection was closed between two of its requests: each of them had to connect through the flood."""
    connects: list[Any] = []

    async def connected(*details: Any) -> None:
        connects.append(details)

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(connected)
    headers = {"Authorization": "Bearer bert-views"}
    attacker = Attacker(replica.url)
    async with aiohttp.ClientSession(replica.url, headers=headers, trace_configs=[tracing]) as session:
        for number in range(30):
            async with session.get("/v1/jobs?limit=1") as response:
                assert response.status == 200
                await response.read()
            if number == 0:
                await attacker.begin(2_500, ("silent", "slow-headers"))
    await attacker.end()
    assert len(connects) == 1


async def test_a_flood_of_connections_of_one_address_is_refused_and_another_connects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KINOLOG_WEB__CONNECTIONS_PER_ADDRESS", "50")
    with abused_replica() as replica:
        attacker = Attacker(replica.url)
        await attacker.begin(500, ("silent",))
        _, wrong = await replica.others_wait_s(2.0, "127.0.0.2")
        assert wrong == []
        assert replica.open_files() < 150
        await attacker.end()


async def test_a_flood_of_messages_ends_its_websocket_and_no_other(replica: Abused) -> None:
    attacker = Attacker(replica.url)
    await attacker.begin(100, ("ping-flood",))
    await eventually(lambda: attacker.outcomes["ping-flood"].counts["101"] >= 2, 60, 0.1)
    await attacker.end()


async def test_a_flood_over_many_websockets_of_a_caller_ends_them_and_not_those_of_another(replica: Abused) -> None:
    """Each connection sends less than it may; together they cost what one flood would."""
    closed: list[int] = []

    async def pings(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect("/v1/live", autoping=False) as live:
            for _ in range(50):
                await live.ping()
            async for _ in live:
                pass
            closed.append(live.close_code or 0)

    def session(token: str) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(replica.url, headers={"Authorization": f"Bearer {token}"})

    async with session("bert-views") as other, session("anna-views") as abuser, other.ws_connect("/v1/live") as quiet:
        tasks = [asyncio.create_task(pings(abuser)) for _ in range(20)]
        await eventually(lambda: 1008 in closed, 60, 0.1)
        await quiet.send_str("ping")
        await eventually(lambda: _pong(quiet), 60)
        await _cancelled(tasks)


async def _pong(live: aiohttp.ClientWebSocketResponse) -> bool:
    return "pong" in str((await live.receive(timeout=60)).data)


def _held(replica: Abused, path: str, count: int) -> tuple[list[asyncio.Task[None]], Outcomes]:
    outcomes, request = Outcomes(), head("GET", path, "anna-views") + b"\r\n"
    where = address(replica.url)
    return [asyncio.create_task(hold(where, request, outcomes)) for _ in range(count)], outcomes


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

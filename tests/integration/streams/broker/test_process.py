"""The embedded broker as a process."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from processors.tools.child_process import tethered
from streams.broker import jvm
from streams.broker.jvm import BrokerError, find_jvm
from streams.broker.process import Broker
from streams.process import ports
from streams.settings import Settings
from tests.conftest import eventually

CHECKOUT = Path(__file__).resolve().parents[4]


async def _are_known(admin: AIOKafkaAdminClient, wanted: Sequence[str]) -> bool:
    return set(wanted) <= set(await admin.list_topics())


async def _topics(bootstrap: str, *create: str) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        if create:
            await admin.create_topics([NewTopic(name, 1, 1) for name in create])
            await eventually(lambda: _are_known(admin, create))  # told a moment later than made
        return list(await admin.list_topics())
    finally:
        await admin.close()


async def test_a_killed_broker_comes_back_where_it_was_with_what_it_had(fresh_broker: Broker) -> None:
    await _topics(fresh_broker.bootstrap, "kept")
    place, first = fresh_broker.bootstrap, fresh_broker.pid

    os.kill(first, signal.SIGKILL)
    assert await fresh_broker.wait() == -signal.SIGKILL
    await fresh_broker.start()
    await fresh_broker.wait_ready()

    assert fresh_broker.pid != first
    assert fresh_broker.bootstrap == place
    assert "kept" in await _topics(place)


async def test_a_data_dir_has_one_broker(fresh_broker: Broker, make_settings: Callable[..., Settings]) -> None:
    folder = f"/proc/{fresh_broker.pid}/cwd"
    second = Broker(make_settings(KINOLOG_DATA_DIR=str(Path(folder).resolve().parent)))
    with pytest.raises(BrokerError) as caught:
        await second.start()
    assert caught.value.code == "data-dir-in-use"
    assert fresh_broker.running


async def test_the_broker_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, sys, time; from streams.broker.process import Broker; from streams.settings import load\n"
        f"broker = Broker(load({{'KINOLOG_DATA_DIR': {str(tmp_path)!r}, 'KINOLOG_KAFKA__PORT': '0'}}))\n"
        "asyncio.run(broker.start()); print(broker.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(tethered([sys.executable, "-c", script]), cwd=CHECKOUT, stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None
        broker = Path("/proc") / parent.stdout.readline().decode().strip()
        assert broker.exists()
        parent.kill()
    await eventually(lambda: not broker.exists(), within_s=10)


async def test_a_taken_port_is_named(make_settings: Callable[..., Settings]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        broker = Broker(make_settings(KINOLOG_KAFKA__PORT=str(port)))
        with pytest.raises(BrokerError, match=f"Port {port} is in use.*KINOLOG_KAFKA__PORT") as caught:
            await broker.start()
    assert caught.value.code == "port-taken"
    assert not broker.running


async def test_a_java_that_is_too_old_is_named(
    tmp_path: Path, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.20\" 2023-07-18' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(BrokerError, match=r"Java 17 or newer; .*/java is 11\.0\.20") as caught:
        await Broker(make_settings()).start()
    assert caught.value.code == "java-too-old"


@pytest.mark.parametrize("damage", ["garbage", "truncated"])
async def test_a_broken_archive_never_stops_the_broker(
    damage: str, tmp_path: Path, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (await find_jvm()).archive
    cache = tmp_path / "cache" / "kinolog" / f"kafka-{jvm.KAFKA_VERSION}"
    cache.mkdir(parents=True)
    (cache / "lib").symlink_to(jvm.cache_dir() / "lib")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    archive = (await find_jvm()).archive
    half = whole.read_bytes()[: 1 << 24] if damage == "truncated" and whole.exists() else b"not an archive"
    archive.write_bytes(half)

    broker = Broker(make_settings())
    try:
        await broker.start()
        await broker.wait_ready()
    finally:
        await broker.stop()


async def test_an_installation_of_ones_own_serves_as_well(
    tmp_path: Path, make_settings: Callable[..., Settings]
) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "libs").symlink_to(jvm.cache_dir() / "lib")
    broker = Broker(make_settings(KINOLOG_KAFKA__HOME=str(tmp_path / "kafka")))
    try:
        await broker.start()
        await broker.wait_ready()
        assert await _topics(broker.bootstrap, "works") == ["works"]
    finally:
        await broker.stop()
    assert not broker.running


def test_a_free_port_is_never_one_that_the_kernel_gives_to_clients() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(ports.free_port() < lowest for _ in range(20))


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
    assert ports.is_free(port)

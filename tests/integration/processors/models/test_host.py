"""A model in a process of its own: what goes in and out, and everything that can end it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from processors.errors import ModelFailed, ModelLost, ModelOutgrown, ModelTimedOut, ModelUnavailable
from processors.models.host import ModelHost, ModelLimits, resident_bytes
from schemas.base import Json
from tests.conftest import eventually

MakeHost = Callable[..., ModelHost]
_LOADER = "tests.integration.processors.models.toys:toy"
_MIB = 1024**2


@pytest.fixture
async def make_host() -> AsyncIterator[MakeHost]:
    """`make_host(idle_s=…)`: a host of the toy model; all are closed in the end."""
    made: list[ModelHost] = []

    def make(loader: str = _LOADER, *, memory_bytes: int = 512 * _MIB, idle_s: float = 0.0) -> ModelHost:
        bounds = ModelLimits(memory_bytes=memory_bytes, load_s=60, idle_s=idle_s)
        made.append(ModelHost(loader=loader, options={"size": "tiny"}, limits=bounds, name="toy"))
        return made[-1]

    yield make
    for host in made:
        await host.close()


def _is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def test_one_process_serves_many_requests_with_bytes_as_they_are(make_host: MakeHost) -> None:
    host = make_host()
    first = await host.request({"do": "echo", "what": b"\0\xff" * 1000}, timeout_s=60)
    second = await host.request({"do": "echo", "what": [1.5, "ü"]}, timeout_s=60)
    assert first["got"] == b"\0\xff" * 1000
    assert second["got"] == [1.5, "ü"]
    assert (first["served"], second["served"]) == (1, 2)
    assert first["pid"] == second["pid"] == host.pid
    assert first["options"] == {"size": "tiny"}


async def test_requests_at_the_same_time_wait_for_each_other(make_host: MakeHost) -> None:
    host = make_host()
    answers = await asyncio.gather(*(host.request({"do": "echo", "what": n}, timeout_s=60) for n in range(5)))
    assert [answer["got"] for answer in answers] == [0, 1, 2, 3, 4]
    assert sorted(answer["served"] for answer in answers) == [1, 2, 3, 4, 5]


async def test_parts_come_before_the_answer_in_order(make_host: MakeHost) -> None:
    heard: list[Json] = []
    await make_host().request({"do": "count", "to": 50}, timeout_s=60, on_partial=heard.append)
    assert [part["number"] for part in heard] == list(range(50))


async def test_what_libraries_print_disturbs_nothing(make_host: MakeHost) -> None:
    host = make_host()
    assert await host.request({"do": "print"}, timeout_s=60) == {}
    assert (await host.request({"do": "echo", "what": 1}, timeout_s=60))["served"] == 2


async def test_an_error_of_the_model_fails_that_request_only(make_host: MakeHost) -> None:
    host = make_host()
    with pytest.raises(ModelFailed) as caught:
        await host.request({"do": "upset"}, timeout_s=60)
    assert "the model is upset" in str(caught.value.detail)
    assert (await host.request({"do": "echo", "what": 1}, timeout_s=60))["served"] == 2


async def test_a_killed_model_fails_that_request_and_comes_back(make_host: MakeHost) -> None:
    host = make_host()
    with pytest.raises(ModelLost) as caught:
        await host.request({"do": "die"}, timeout_s=60)
    assert caught.value.retriable
    assert (await host.request({"do": "echo", "what": 1}, timeout_s=60))["served"] == 1


async def test_cancelling_frees_the_cpu_at_once(make_host: MakeHost) -> None:
    host = make_host()
    began = asyncio.Event()
    asking = asyncio.create_task(host.request({"do": "burn"}, timeout_s=60, on_partial=lambda _: began.set()))
    await began.wait()
    pid = host.pid
    at = time.monotonic()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert time.monotonic() - at < 2
    assert pid is not None
    assert not _is_alive(pid)
    assert (await host.request({"do": "echo", "what": 1}, timeout_s=60))["served"] == 1


async def test_a_request_beyond_its_time_ends(make_host: MakeHost) -> None:
    host = make_host()
    await host.request({"do": "echo", "what": 1}, timeout_s=60)
    with pytest.raises(ModelTimedOut):
        await host.request({"do": "burn"}, timeout_s=0.3)
    assert host.pid is None


async def test_a_request_beyond_its_memory_ends_and_the_next_one_is_served(make_host: MakeHost) -> None:
    host = make_host(memory_bytes=256 * _MIB)
    with pytest.raises(ModelOutgrown) as caught:
        await host.request({"do": "eat", "bytes": 4096 * _MIB}, timeout_s=60)
    assert caught.value.retriable
    assert (await host.request({"do": "echo", "what": 1}, timeout_s=60))["served"] == 1


@pytest.mark.parametrize("network", [False, True])
async def test_a_model_that_is_here_reaches_no_network(make_host: MakeHost, *, network: bool) -> None:
    host = make_host()
    host.limits = replace(host.limits, network=network)
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = await host.request({"do": "connect", "port": server.getsockname()[1]}, timeout_s=60)
    assert (said["said"] == "connected") == network


async def test_secrets_are_not_handed_on(make_host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KINOLOG_AUTH__TOKEN", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "DATABASE_URL", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(name, "do-not-tell")
    monkeypatch.setenv("HF_HOME", "/models")
    environ = await make_host().request({"do": "environ"}, timeout_s=60)
    assert environ["HF_HOME"] == "/models"
    assert "do-not-tell" not in environ.values()


async def test_an_idle_model_is_unloaded_and_loaded_again(make_host: MakeHost) -> None:
    host = make_host(idle_s=0.2)
    first = await host.request({"do": "echo", "what": 1}, timeout_s=60)
    await eventually(lambda: host.pid is None)
    assert not _is_alive(first["pid"])
    assert (await host.request({"do": "echo", "what": 1}, timeout_s=60))["served"] == 1


@pytest.mark.parametrize("loader", ["tests.integration.processors.models.toys:broken", "no.such:module"])
async def test_a_model_that_cannot_be_loaded_says_why(make_host: MakeHost, loader: str) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        await make_host(loader).request({"do": "echo", "what": 1}, timeout_s=60)
    assert not caught.value.retriable
    assert "there is no model" in str(caught.value.detail) or "No module named" in str(caught.value.detail)


_PARENT = f"""
import asyncio, sys
from processors.models.host import ModelLimits, ModelHost

async def main():
    host = ModelHost(loader="{_LOADER}", options={{}}, limits=ModelLimits(memory_bytes=2**29), name="toy")
    asking = asyncio.create_task(host.request({{"do": "burn"}}, timeout_s=60, on_partial=lambda _: began.set()))
    await began.wait()
    print(host.pid, flush=True)
    await asking

began = asyncio.Event()
asyncio.run(main())
"""


async def test_a_model_does_not_outlive_whoever_asked_it() -> None:
    root = Path(__file__).resolve().parents[4]
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], cwd=root, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
    await eventually(lambda: resident_bytes(pid) == 0)

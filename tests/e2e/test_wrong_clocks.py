"""A running system with web replicas whose clocks are 32 days wrong: nothing is forgotten, and no file is deleted."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from streams.process.ports import free_port
from tests.chaos.clockwork import set_clock
from tests.chaos.processes import Service
from tests.conftest import eventually
from tests.e2e.system import Api, System

DAY_S = 86_400.0
#: Completed jobs of a pipeline that are kept: the wrong replicas remove further ones, which shows that they run.
KEPT = 3


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[System]:
    """A system whose own replica removes nothing while the test runs; jobs are kept for a day."""
    running = System(tmp_path / "data", KINOLOG_RETENTION__EVERY_S="86400")
    yield running
    assert running.stop() == 0


@contextlib.asynccontextmanager
async def replica(system: System, name: str, ahead_s: float) -> AsyncIterator[Api]:
    """A further web replica of the system with a wrong clock, which looks for what is too old twice a second."""
    clock, port = system.data_dir.parent / f"{name}.clock", free_port()
    set_clock(clock, ahead_s)
    own = {
        "KINOLOG_DATA_DIR": str(system.data_dir),
        "KINOLOG_WEB__REPLICA": name,
        "KINOLOG_WEB__PORT": str(port),
        "KINOLOG_AUTH__TOKEN": system.token,
        "KINOLOG_RETENTION__EVERY_S": "0.5",
        "KINOLOG_RETENTION__AGE_S": str(DAY_S),
        "KINOLOG_RETENTION__JOBS": str(KEPT),
    }
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("KINOLOG_")}
    argv = [sys.executable, "-m", "tests.chaos.clockwork", str(clock), "web"]
    part = Service(name, argv, inherited | own, system.data_dir.parent / f"{name}.log")
    headers = {"Authorization": f"Bearer {system.token}"}
    await part.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session:
            await eventually(lambda: _is_ready(session), 120, 0.2)
            yield Api(session)
    finally:
        ended = await part.retire()
    assert ended == 0


async def _is_ready(session: aiohttp.ClientSession) -> bool:
    with contextlib.suppress(aiohttp.ClientError):
        async with session.get("/readyz") as response:
            return response.status == 200
    return False


async def _noop_jobs(api: Api, count: int) -> list[str]:
    """So many completed jobs without media, the oldest first."""
    ids = []
    for _ in range(count):
        status, body = await api.post("/v1/assets", {"input": {"object": "none"}, "pipeline": "noop"})
        assert status == 202, body
        ids.append(str(body["data"]["job_id"]))
        await api.ended(ids[-1], 60)
    return ids


def _files(system: System) -> set[str]:
    """Published files and sources, without what is still being written."""
    store = system.data_dir / "store"
    return {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file() and ".staging" not in str(path)}


@pytest.mark.parametrize("days", [32, -32])
async def test_a_replica_with_a_wrong_clock_forgets_and_deletes_nothing(lasting: System, clip: Path, days: int) -> None:
    async with lasting.client() as api:
        film = await api.upload(clip, pipeline="standard")
        assert (await api.ended(film["job_id"], 240))["status"] == "completed"
        _, token = await api.post("/v1/tokens", {"role": "viewer", "owner": "anna"})
        jobs, before = await _noop_jobs(api, KEPT + 2), _files(lasting)
        assert any(film["asset_id"] in path for path in before)
        async with replica(lasting, "wrong", days * DAY_S) as wrong:
            await eventually(lambda: _kept_only(api, jobs[-KEPT:]), 60, 0.2)
            more = await _noop_jobs(wrong, 2)  # and one more round, in which all jobs are known
            await eventually(lambda: _kept_only(api, (jobs + more)[-KEPT:]), 60, 0.2)
            await _plays(api, wrong, film)
            await _plays(wrong, api, film)
            await _opens(wrong, api)
            await _opens(api, wrong)
            await eventually(lambda: _are_active(wrong), 60, 0.2)
        assert _files(lasting) >= before
        assert [job["id"] for job in await api.get("/v1/jobs", pipeline="standard")] == [film["job_id"]]
        assert token["data"]["id"] in [row["id"] for row in await api.get("/v1/tokens") if row["good"]]
    assert "this machine's clock differs" in (lasting.data_dir.parent / "wrong.log").read_text()


async def _are_active(api: Api) -> bool:
    """Executors that report once a second; a machine under load is late."""
    return [executor["status"] for executor in await api.get("/v1/executors")] == ["active"]


async def _kept_only(api: Api, ids: list[str]) -> bool:
    return {job["id"] for job in await api.get("/v1/jobs", pipeline="noop", limit="500")} == set(ids)


async def _plays(signing: Api, serving: Api, film: dict[str, Any]) -> None:
    """A URL of one replica is good on another, whatever the clock of either."""
    assert (await signing.get(f"/v1/assets/{film['asset_id']}"))["status"] == "READY"
    status, playback = await signing.post(f"/v1/assets/{film['asset_id']}/playback", {"ttl_s": 60})
    assert status == 200, playback
    path = URL(playback["data"]["master_url"]).raw_path
    async with aiohttp.ClientSession(serving.session._base_url) as anybody, anybody.get(path) as response:
        assert response.status == 200


async def _opens(issuing: Api, serving: Api) -> None:
    """A token of a minute, and a ticket, are good on another replica, and shown as good."""
    status, made = await issuing.post("/v1/tokens", {"role": "viewer", "owner": "anna", "ttl_s": 60})
    assert status == 201, made
    headers = {"Authorization": f"Bearer {made['data']['token']}"}
    async with aiohttp.ClientSession(serving.session._base_url, headers=headers) as anna:
        await eventually(lambda: _is_let_in(anna, "/v1/jobs"), 10)
    assert made["data"]["id"] in [row["id"] for row in await serving.get("/v1/tokens") if row["good"]]
    status, ticket = await issuing.post("/v1/live/tickets", {"ttl_s": 60})
    assert status == 201, ticket
    async with aiohttp.ClientSession(serving.session._base_url) as anybody:
        assert await _is_let_in(anybody, f"/v1/live/sse?ticket={ticket['data']['ticket']}")


async def _is_let_in(session: aiohttp.ClientSession, path: str) -> bool:
    async with session.get(path) as response:
        return response.status == 200


async def test_keys_rotated_by_a_replica_with_a_wrong_clock_end_when_they_should(lasting: System) -> None:
    async with lasting.client() as api, replica(lasting, "ahead", 32 * DAY_S) as ahead:
        [configured] = [key["id"] for key in await api.get("/v1/keys")]
        status, rotated = await ahead.post("/v1/keys")
        assert status == 201, rotated
        await eventually(lambda: _signs(api, rotated["data"]["id"]), 30)
        states = {key["id"]: key["status"] for key in await api.get("/v1/keys")}
        assert states == {rotated["data"]["id"]: "signing", configured: "accepted"}
        status, again = await api.post("/v1/keys")
        assert status == 201
        assert await _signs(api, again["data"]["id"]), (
            "the latest rotation counts, whatever the clock of the one before"
        )


async def _signs(api: Api, key_id: str) -> bool:
    return any(key["id"] == key_id and key["status"] == "signing" for key in await api.get("/v1/keys"))

"""A backup of a running system, restored onto an empty machine: jobs, tokens, keys and playback are as before."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from processors.storage.keys import OWNER_KEY
from streams.kafka.admin_client import admin_client
from streams.kafka.reader import open_reader
from streams.kafka.topics import names
from streams.process.ports import free_port
from streams.settings import Settings
from tests.e2e.system import Api, System
from tests.e2e.test_secrets import SECRET, origin

#: All records of a topic are in one partition: the earliest ones can be removed before those that are needed.
ONE_PARTITION = {"KINOLOG_PARTITIONS": "1"}


def kinolog(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command over this data directory."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KINOLOG_")}
    environ |= {"KINOLOG_DATA_DIR": str(data_dir), "KINOLOG_KAFKA__PORT": "0", **ONE_PARTITION}
    command = [sys.executable, "-m", "streams.cli", *arguments]
    return subprocess.run(command, env=environ, check=False, capture_output=True, text=True, timeout=240)


class Before:
    """What a system had when its backup was made."""

    def __init__(self) -> None:
        self.film: dict[str, str] = {}
        self.master = ""
        self.jobs: dict[str, str] = {}
        #: In paused queues: without media, and a film that is still to be downloaded.
        self.waiting = self.downloading = ""
        self.token, self.revoked = "", ""
        self.keys: dict[str, str] = {}
        self.timeline: list[Any] = []


@contextlib.asynccontextmanager
async def with_token(system: System, token: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(system.url, headers={"Authorization": f"Bearer {token}"}) as session:
        yield session


async def status_of(system: System, token: str) -> int:
    async with with_token(system, token) as session, session.get("/v1/jobs") as response:
        return response.status


async def new_token(api: Api) -> dict[str, Any]:
    status, body = await api.post("/v1/tokens", {"role": "viewer", "owner": "anna"})
    assert status == 201, body
    return dict(body["data"])


async def noop(api: Api) -> str:
    status, body = await api.post("/v1/assets", {"input": {"object": "none"}, "pipeline": "noop"})
    assert status == 202, body
    return str(body["data"]["job_id"])


async def statuses(api: Api) -> dict[str, str]:
    return {job["id"]: job["status"] for job in await api.get("/v1/jobs", limit="500")}


async def timeline_of(api: Api, job_id: str) -> list[Any]:
    """What happened to the job, and when."""
    return [(event["type"], event["time"]) for event in await api.get(f"/v1/jobs/{job_id}/events")]


async def master_of(system: System, asset_id: str) -> str:
    """The text of the film's master playlist, by a signed URL."""
    async with system.client() as api, aiohttp.ClientSession() as anybody:
        status, body = await api.post(f"/v1/assets/{asset_id}/playback", {})
        assert status == 200, body
        async with anybody.get(body["data"]["master_url"]) as response:
            assert response.status == 200
            return await response.text()


async def remote(api: Api, port: int) -> str:
    """A job that downloads a film from a signed URL."""
    url = f"http://127.0.0.1:{port}/film.mp4?X-Amz-Signature={SECRET}"
    status, body = await api.post("/v1/assets", {"input": {"url": url}, "pipeline": "cache"})
    assert status == 202, body
    return str(body["data"]["job_id"])


async def pause(api: Api, step: str, change: str = "pause") -> None:
    assert (await api.post(f"/v1/queues/{step}/{change}"))[0] in (200, 202)


async def remove_earliest(system: System) -> None:
    """What retention and compaction do in time: offsets begin later, while rows refer to them."""
    async with admin_client(system.cluster, 15.0) as admin:
        n = names(Settings())
        for topic in (n.commands, n.step_events, n.source_urls):
            part = TopicPartition(topic, 0)
            async with open_reader(system.cluster, [part], reset="none") as reader:
                end = (await reader.end_offsets([part]))[part]
            assert end
            await admin.delete_records({part: RecordsToDelete(end)})


async def use(system: System, clip: Path, port: int) -> Before:
    """A film, jobs that ended, were deleted, and wait; tokens, keys."""
    before = Before()
    async with system.client() as api:
        assert (await api.ended(await remote(api, port), 120))["status"] == "completed"
        before.film = await api.upload(clip, pipeline="standard")
        assert (await api.ended(before.film["job_id"], 240))["status"] == "completed"
        before.master = await master_of(system, before.film["asset_id"])
        deleted = await noop(api)
        await api.ended(deleted)
        async with api.session.delete(f"/v1/jobs/{deleted}") as response:
            assert response.status == 202
        await api.ended(await noop(api))
        kept, revoked = await new_token(api), await new_token(api)
        before.token, before.revoked = kept["token"], revoked["token"]
        async with api.session.delete(f"/v1/tokens/{revoked['id']}") as response:
            assert response.status == 200
        assert (await api.post("/v1/keys"))[0] == 201
        before.keys = {key["id"]: key["status"] for key in await api.get("/v1/keys")}
        for step in ("noop", "download"):
            await pause(api, step)
        await remove_earliest(system)
        before.waiting, before.downloading = await noop(api), await remote(api, port)
        async with asyncio.timeout(60):
            while deleted in (found := await statuses(api)) or not {before.waiting, before.downloading} <= found.keys():
                await asyncio.sleep(0.2)
        before.jobs = await statuses(api)
        before.timeline = await timeline_of(api, before.film["job_id"])
    return before


async def test_everything_is_as_before_on_an_empty_machine(tmp_path: Path, clip: Path) -> None:
    port = free_port()
    environ = {"KINOLOG_DOWNLOAD__ALLOW_HOSTS": f"127.0.0.1:{port}", **ONE_PARTITION}
    async with origin(port, clip):
        await _restored(tmp_path, clip, port, environ)


async def _restored(tmp_path: Path, clip: Path, port: int, environ: dict[str, str]) -> None:
    system = System(tmp_path / "old", **environ)
    try:
        before = await use(system, clip, port)
        saved = kinolog(system.data_dir, "backup", str(tmp_path / "backup"), "--json")
        assert saved.returncode == 0, saved.stderr
    finally:
        assert system.stop() == 0
    mark = tmp_path / "new" / "store" / OWNER_KEY
    mark.parent.mkdir(parents=True)
    shutil.copy(tmp_path / "old" / "store" / mark.name, mark)  # as in a bucket that stays
    restored = kinolog(tmp_path / "new", "restore", str(tmp_path / "backup"), "--json")
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout)["records"] == json.loads(saved.stdout)["records"] > 0
    successor = System(tmp_path / "new", **environ)
    try:
        await _is_as_before(successor, before)
        assert kinolog(tmp_path / "new", "audit", "verify").returncode == 0
        checked = kinolog(tmp_path / "new", "doctor", "--rebuild-check")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        cleaned = kinolog(tmp_path / "new", "gc", "--dry-run")
        assert cleaned.returncode == 0, cleaned.stderr
        refused = kinolog(tmp_path / "new", "restore", str(tmp_path / "backup"))
        assert refused.returncode == 2, "it runs"
    finally:
        assert successor.stop() == 0
    assert "the log has lost records" not in successor.log()
    refused = kinolog(tmp_path / "new", "restore", str(tmp_path / "backup"))
    assert refused.returncode == 2 and "not empty" in refused.stderr


async def _is_as_before(system: System, before: Before) -> None:
    async with system.client() as api:
        async with asyncio.timeout(60):
            while await statuses(api) != before.jobs:
                await asyncio.sleep(0.2)
        assert await timeline_of(api, before.film["job_id"]) == before.timeline
        assert await master_of(system, before.film["asset_id"]) == before.master
        assert {key["id"]: key["status"] for key in await api.get("/v1/keys")} == before.keys
        assert [await status_of(system, token) for token in (before.token, before.revoked)] == [200, 401]
        assert (await api.job(before.waiting))["status"] == "waiting", "its queue is paused"
        for step, job_id in (("noop", before.waiting), ("download", before.downloading)):
            await pause(api, step, "resume")
            ended = await api.ended(job_id, 120)
            assert ended["status"] == "completed", ended
        assert (await api.ended(await noop(api), 120))["status"] == "completed"
        assert {job: status for job, status in (await statuses(api)).items() if job in before.jobs} == {
            **before.jobs,
            before.waiting: "completed",
            before.downloading: "completed",
        }

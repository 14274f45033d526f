"""Logs that earlier versions have left, tests/recorded/*.tar.gz: this version shows them as they were, and gets on."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from streams.backup.archive import PartitionFile, PartitionWriter, read_manifest, read_partition, write_manifest
from tests.e2e.system import Api, System
from tests.e2e.test_backup import master_of, status_of
from tests.recorded.shown import ENVIRON, shown

RECORDED = sorted((Path(__file__).parents[1] / "recorded").glob("*.tar.gz"))
#: Neither jobs nor records go because of their age, whenever this test runs; a lost attempt is noticed soon.
AGELESS = {
    **ENVIRON,
    "KINOLOG_RETENTION__AGE_S": "0",
    "KINOLOG_LEASE__TTL_S": "6",
    "KINOLOG_LEASE__HEARTBEAT_S": "1",
}
#: What goes on, because it had not ended.
LIVELY = ("runs", "waits-low", "waits-high")


def _unpacked(path: Path, folder: Path) -> dict[str, Any]:
    """The backup below `folder`, as if it had just been made; and what the version showed."""
    with tarfile.open(path) as archive:
        archive.extractall(folder)  # our own file
    manifest = read_manifest(folder)
    age_ms = int((time.time() - manifest.created_at) * 1000)
    files = [_moved(folder, file, age_ms) for file in manifest.files]
    (folder / "manifest.json").unlink()
    write_manifest(folder, replace(manifest, files=files))
    return dict(json.loads((folder / "shown.json").read_text()))


def _moved(folder: Path, file: PartitionFile, by_ms: int) -> PartitionFile:
    records = list(read_partition(folder, file))
    (folder / "topics" / file.topic / f"{file.partition}.gz").unlink()
    writer = PartitionWriter(folder, file.topic, file.partition)
    for record in records:
        writer.add(replace(record, timestamp_ms=record.timestamp_ms + by_ms))
    return writer.close(is_trimmed=file.is_trimmed)


@pytest.mark.parametrize("path", RECORDED, ids=[path.name.partition(".")[0] for path in RECORDED])
async def test_this_version_goes_on_with_the_log_of_an_earlier_one(path: Path, tmp_path: Path) -> None:
    before = _unpacked(path, tmp_path / "backup")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KINOLOG_")} | AGELESS
    command = [sys.executable, "-m", "streams.cli", "restore", str(tmp_path / "backup")]
    data = {"KINOLOG_DATA_DIR": str(tmp_path / "data"), "KINOLOG_KAFKA__PORT": "0"}
    subprocess.run(command, env=environ | data, check=True, timeout=240)
    with contextlib.ExitStack() as stack:
        system = System(tmp_path / "data", **AGELESS)
        stack.callback(system.stop)
        async with system.client() as api:
            lively = {job["asset_id"]: job_id for job_id, job in before["jobs"].items() if job["asset_id"] in LIVELY}
            await _is_shown_as_before(api, before, set(lively.values()))
            for name in ("waits-low", "waits-high"):
                assert (await api.job(lively[name]))["steps"][0]["paused"]
            assert (await api.post("/v1/queues/noop/resume"))[0] in (200, 202)
            for job_id in lively.values():
                assert (await api.ended(job_id, 120))["status"] == "completed"
            await _is_usable(api)
        kept, revoked = before["tokens"]["kept"], before["tokens"]["revoked"]
        assert [await status_of(system, token) for token in (kept, revoked)] == [200, 401]
        film = next(
            job for job in before["jobs"].values() if job["pipeline"] == "video" and job["status"] == "completed"
        )
        assert (await master_of(system, film["asset_id"])).startswith("#EXTM3U")
    assert "Traceback" not in system.log()


async def _is_shown_as_before(api: Api, before: dict[str, Any], lively: set[str]) -> None:
    async with asyncio.timeout(60):
        while len(await api.get("/v1/jobs", limit="500")) < len(before["jobs"]):
            await asyncio.sleep(0.2)
    now = await shown(api)
    for kind in ("jobs", "assets"):
        ended = {one for one in before[kind] if one not in lively and one not in LIVELY}
        assert {one: now[kind][one] for one in ended} == {one: before[kind][one] for one in ended}
        assert now[kind].keys() == before[kind].keys()
    assert {name: now["queues"][name] for name in before["queues"]} == before["queues"]


async def _is_usable(api: Api) -> None:
    """What existed can be used: another job on an asset, a job that runs again, one that is deleted."""
    status, answer = await api.post("/v1/assets", {"asset_id": "again", "input": {"object": "x"}, "pipeline": "noop"})
    assert status == 202 and (await api.ended(answer["data"]["job_id"]))["status"] == "completed"
    failed = (await api.get("/v1/jobs", status="failed"))[0]["id"]
    assert (await api.post(f"/v1/jobs/{failed}/retry"))[0] in (200, 202)
    await api.wait(failed, lambda job: job["run"] == 2 and job["status"] == "failed", 60)
    async with api.session.delete(f"/v1/jobs/{failed}") as response:
        assert response.status == 202
    async with asyncio.timeout(60):
        while any(job["id"] == failed for job in await api.get("/v1/jobs", limit="500")):
            await asyncio.sleep(0.2)

"""A system on a cluster with ACLs and a bucket, moved to another cluster and another bucket by a backup."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest
from msgspec.structs import replace

from streams.kafka.acls import ROLES
from streams.settings import Settings
from tests.bucket import BUCKET, environ, make_bucket, moto
from tests.e2e.roles import environ_of, grant, operated, restricted, running
from tests.e2e.system import Api
from tests.secured_broker import SecuredBroker, secured_broker


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The usual AWS variables name a server that has the bucket."""
    with moto() as endpoint:
        asyncio.run(make_bucket(endpoint))
        for name, value in environ(endpoint).items():
            monkeypatch.setenv(name, value)
        yield


async def kinolog(
    broker: SecuredBroker, settings: Settings, role: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """A command with the rights of `role`."""
    command = [sys.executable, "-m", "streams.cli", *arguments]
    return await asyncio.to_thread(
        subprocess.run,
        command,
        env=environ_of(broker, settings, role),
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )


async def played(api: Api, asset_id: str) -> tuple[str, bytes]:
    """The film's first media playlist and its first part, as a player without a token gets them."""
    status, body = await api.post(f"/v1/assets/{asset_id}/playback", {})
    assert status == 200, body
    async with aiohttp.ClientSession() as anybody:
        url = body["data"]["master_url"]
        for _ in range(2):
            text = (await _content(anybody, url)).decode()
            url = urljoin(url, next(line for line in text.splitlines() if line and not line.startswith("#")))
        return text, await _content(anybody, url)


async def _content(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as response:
        assert response.status == 200, url
        return await response.read()


async def shown(api: Api) -> dict[str, Any]:
    """All jobs and the tokens."""
    jobs = {job["id"]: job["status"] for job in await api.get("/v1/jobs", limit="500")}
    return {"jobs": jobs, "tokens": sorted(token["id"] for token in await api.get("/v1/tokens"))}


async def saved(
    broker: SecuredBroker, settings: Settings, folder: Path, clip: Path
) -> tuple[str, dict[str, Any], tuple[str, bytes]]:
    """Makes a film, backs it up twice, with and without media: its asset, what was shown, and what was played."""
    async with running(broker, settings, folder) as api:
        accepted = await api.upload(clip, pipeline="video")
        assert (await api.ended(accepted["job_id"], 280))["status"] == "completed"
        assert (await api.post("/v1/tokens", {"role": "viewer", "owner": "anna"}))[0] == 201
        for name, options in (("whole", ()), ("log", ("--without-media",))):
            made = await kinolog(broker, settings, "backup", "backup", str(folder / name), *options)
            assert made.returncode == 0, made.stderr
        refused = await kinolog(broker, settings, "operator", "backup", str(folder / "refused"))
        assert refused.returncode == 2 and "uthorization" in refused.stderr, refused
        return accepted["asset_id"], await shown(api), await played(api, accepted["asset_id"])


async def test_a_cluster_with_acls_and_a_bucket_move_to_others(bucket: None, clip: Path, tmp_path: Path) -> None:
    old = restricted(tmp_path / "old", KINOLOG_STORE__URL=f"s3://{BUCKET}/old")
    new = replace(restricted(tmp_path / "new", KINOLOG_STORE__URL=f"s3://{BUCKET}/new"), web=old.web)
    async with secured_broker(ROLES) as broker:
        asset_id, before, film = await saved(broker, await operated(broker, old), tmp_path, clip)
    async with secured_broker(ROLES) as broker:
        await grant(broker, new)
        elsewhere = await kinolog(broker, new, "admin", "restore", str(tmp_path / "log"), "--json")
        assert elsewhere.returncode == 1, "the new bucket lacks all files"
        assert json.loads(elsewhere.stdout)["missing_objects"] > 0
    async with secured_broker(ROLES) as broker:
        await grant(broker, new)
        restored = await kinolog(broker, new, "admin", "restore", str(tmp_path / "whole"), "--json")
        assert restored.returncode == 0, restored.stderr
        assert json.loads(restored.stdout)["missing_objects"] == 0
        (tmp_path / "after").mkdir()
        async with running(broker, new, tmp_path / "after") as api:
            assert await shown(api) == before
            assert await played(api, asset_id) == film
            accepted = await api.upload(clip, pipeline="video")
            assert (await api.ended(accepted["job_id"], 280))["status"] == "completed"

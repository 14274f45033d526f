"""The standard pipeline with its store on a bucket that answers badly now and then."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from processors.storage.object_store import open_store
from tests.bucket import BUCKET, begin_multipart, environ, faulty, leaked_uploads, make_bucket, moto
from tests.e2e.system import Api, System


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto() as endpoint:
        yield endpoint


@pytest.fixture
async def endpoint(server: str) -> AsyncIterator[str]:
    await make_bucket(server)
    async with faulty(server, broken=23, slow_down=11, slow=37, cut=3) as (found, faults):
        yield found
        assert {"broken", "slow_down", "slow", "cut"} <= faults.injected.keys()


def keys_in(outputs: Any) -> set[str]:
    """Every store key that the outputs name."""
    if isinstance(outputs, str):
        return {outputs} if outputs.startswith("assets/") else set()
    children = outputs.values() if isinstance(outputs, dict) else outputs if isinstance(outputs, list) else ()
    return {key for child in children for key in keys_in(child)}


async def test_a_clip_goes_through_the_standard_pipeline_on_a_bucket_with_faults(
    server: str, endpoint: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"KINOLOG_STORE__URL": f"s3://{BUCKET}", **environ(endpoint)}
    system = await asyncio.to_thread(System, tmp_path / "data", **environment)
    try:
        async with system.client() as api:
            # Straight into the bucket, then as an input.
            status, body = await api.post("/v1/uploads/presign", {"filename": "clip.mp4"})
            assert status == 201, body
            given = body["data"]
            await _put(given["url"], given["headers"], clip.read_bytes())
            status, body = await api.post("/v1/assets", {"input": {"object": given["object"]}})
            assert status == 202, body
            uploaded = await api.upload(clip)
            direct, through = [await api.ended(job_id) for job_id in (body["data"]["job_id"], uploaded["job_id"])]
            assert [job["status"] for job in (direct, through)] == ["completed", "completed"], (direct, through)
            asset = await api.get(f"/v1/assets/{through['asset_id']}")
            # The playlist from here, what it names from the bucket.
            async with api.session.get(asset["master_url"]) as reply:
                assert (reply.status, len(reply.history)) == (200, 0)
            assert await _get(api, asset["poster_url"]) == ([302], "image/jpeg")
            await _require_garbage_found(api, server)
    finally:
        assert await asyncio.to_thread(system.stop) == 0
    for name, value in environ(server).items():
        monkeypatch.setenv(name, value)
    store = open_store(f"s3://{BUCKET}")
    for job in (direct, through):
        published = {entry.key for entry in await store.list(f"assets/{job['asset_id']}")}
        named = keys_in([step.get("outputs") for step in job["steps"]])
        assert named <= published
        # Nothing of an attempt that came to nothing.
        assert len({key.split("/")[3] for key in published}) <= len(job["steps"])
    assert await leaked_uploads(server) == 0


async def _require_garbage_found(api: Api, server: str) -> None:
    """What a client put there and never named, and parts that nobody ended, go; what is in use stays."""
    _, body = await api.post("/v1/uploads/presign", {"filename": "forgotten.mp4"})
    forgotten = body["data"]
    await _put(forgotten["url"], forgotten["headers"], b"forgotten")
    await begin_multipart(server, "uploads/asset_gone/source")
    for dry_run in (True, False):
        _, body = await api.post("/v1/store/gc", {"dry_run": dry_run, "older_than_days": 0})
        found = body["data"]
        assert (found["prefixes"], found["bytes"], found["multipart_uploads"]) == ([forgotten["object"]], 9, 1)
    _, body = await api.post("/v1/store/gc", {"older_than_days": 0})
    assert (body["data"]["objects"], body["data"]["multipart_uploads"]) == (0, 0)


async def _get(api: Api, url: str) -> tuple[list[int], str]:
    """How often and how a player is sent elsewhere for `url`, and what it gets."""
    for _ in range(5):  # the proxy's faults hit this client too
        with contextlib.suppress(aiohttp.ClientError):  # a body that was cut
            async with api.session.get(url) as reply:
                await reply.read()
                if reply.status == 200:
                    return [hop.status for hop in reply.history], reply.content_type
    raise AssertionError(f"{url} cannot be had")


async def _put(url: str, headers: dict[str, str], content: bytes) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(5):  # the proxy's faults hit this client too
            async with session.put(url, data=io.BytesIO(content), headers=headers) as answer:
                if answer.status == 200:
                    return
    raise AssertionError("the bucket did not take it")

"""Planted secrets: a signed source URL is on its own topic only, and ends there when its asset is deleted."""

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiokafka import TopicPartition

from schemas.jobs import Input
from schemas.uploads import UploadCompleted
from streams.ids import new_id
from streams.kafka.envelope import binary
from streams.kafka.partitioner import partition_of
from streams.kafka.producer import Producer
from streams.kafka.reader import open_reader, read_to_end
from streams.process.ports import free_port
from streams.settings import load
from tests.conftest import eventually
from tests.e2e.conftest import SHORT_LEASES
from tests.e2e.system import Api, System

SECRET = "planted5ecret"
#: The topic on which full URLs are, and the one that upstream services write themselves.
APART, UPSTREAM = "media.source-urls", "media.uploads"


@pytest.fixture(scope="module")
def origin_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def downloading(tmp_path_factory: pytest.TempPathFactory, origin_port: int) -> Iterator[System]:
    """A system that may download from the origin, and has a model endpoint with credentials in its URL."""
    running = System(
        tmp_path_factory.mktemp("secrets") / "data",
        **SHORT_LEASES,
        KINOLOG_DOWNLOAD__ALLOW_HOSTS=f"127.0.0.1:{origin_port}",
        KINOLOG_TRANSCRIBE__BACKENDS=f"http://user:{SECRET}@127.0.0.1:{origin_port}/speech?key={SECRET}",
        KINOLOG_PARTITIONS="2",
    )
    yield running
    assert running.stop() == 0


@contextlib.asynccontextmanager
async def origin(port: int, clip: Path) -> AsyncIterator[None]:
    """Serves the clip to those who have the secret, and says what any WAV file contains."""

    async def film(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(clip) if request.query.get("X-Amz-Signature") == SECRET else web.Response(status=403)

    async def speech(_: web.Request) -> web.Response:
        return web.json_response({"text": "hello", "chunks": [{"timestamp": [0, 1], "text": "hello"}]})

    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/film.mp4", film)
    app.router.add_post("/speech", speech)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def test_a_signed_address_works_and_is_nowhere_to_be_read(
    downloading: System, origin_port: int, clip: Path
) -> None:
    url = f"http://127.0.0.1:{origin_port}/film.mp4?X-Amz-Signature={SECRET}"
    async with origin(origin_port, clip), downloading.client() as api:
        asset_ids = [await _submitted(api, url), await _cached(api, url), await _published(downloading, url)]
        for asset_id in asset_ids:
            await eventually(partial(_is_over, api, asset_id), 300)
        broken = await _failed(api, f"http://127.0.0.1:{origin_port}/missing.mp4?X-Amz-Signature={SECRET}")
        assert not [place async for place in _answers(api, [*asset_ids, broken])]
        await _nowhere(downloading)
        for asset_id in (*asset_ids, broken):
            async with api.session.delete(f"/v1/assets/{asset_id}") as reply:
                assert reply.status == 202, await reply.text()
        await eventually(lambda: _is_ended(downloading), 120)
        await _nowhere(downloading)


async def _submitted(api: Api, url: str) -> str:
    status, body = await api.post("/v1/assets", {"input": {"url": url}, "pipeline": "standard"})
    assert status == 202
    return str(body["data"]["asset_id"])


async def _cached(api: Api, url: str) -> str:
    status, body = await api.post("/v1/cache-assets", {"url": url})
    assert status == 202
    return str(body["data"]["id"])


async def _failed(api: Api, url: str) -> str:
    asset_id = await _submitted(api, url)
    await eventually(lambda: _is_over(api, asset_id, "FAILED"), 120)
    return asset_id


async def _published(system: System, url: str) -> str:
    """By an upload event; the upstream service's own topic has the URL for as long as that is kept."""
    asset_id = new_id("asset")
    settings = load({}).with_cluster(system.cluster)
    producer = Producer(settings, "upstream")
    await producer.start()
    upload = UploadCompleted(asset_id=asset_id, input=Input(url=url), pipeline="cache")
    value, headers = binary(upload, event_id=asset_id, source="upstream", subject=asset_id)
    await producer.deliver(UPSTREAM, partition_of(asset_id, 2), asset_id.encode(), value, headers)
    await producer.stop(5)
    return asset_id


async def _is_over(api: Api, asset_id: str, *statuses: str) -> bool:
    async with api.session.get(f"/v1/assets/{asset_id}") as reply:
        shown = (await reply.json()).get("data", {}).get("status")
    return shown in (statuses or ("READY", "CACHED"))


async def _answers(api: Api, asset_ids: list[str]) -> AsyncIterator[str]:
    """Answers that have the secret."""
    paths = ["/v1/jobs?limit=500", "/v1/jobs/export?format=csv", "/v1/assets", "/v1/cache-assets", "/metrics"]
    paths += [f"/v1/assets/{asset_id}" for asset_id in asset_ids]
    for job in await api.get("/v1/jobs"):
        paths += [f"/v1/jobs/{job['id']}", f"/v1/jobs/{job['id']}/events"]
    for path in paths:
        async with api.session.get(path) as reply:
            if SECRET in await reply.text():
                yield path
    status, body = await api.post("/v1/cache-assets/resolve", {"ids": asset_ids})
    assert status == 200
    if SECRET in json.dumps(body):
        yield "resolve"


async def _nowhere(system: System) -> None:
    """No record, row, index, file or log line has the secret; full URLs are on their topic only."""
    found = [str(path) for path in system.data_dir.rglob("*") if path.is_file() and SECRET.encode() in _read(path)]
    assert [path for path in found if APART not in path and UPSTREAM not in path] == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has just gone
        return b""


async def _is_ended(system: System) -> bool:
    """Whether the last record of every key on the topic of full URLs is a tombstone."""
    latest: dict[Any, Any] = {}
    parts = [TopicPartition(APART, number) for number in range(2)]
    async with open_reader(system.cluster, parts, reset="earliest") as consumer:
        async for record in read_to_end(consumer, parts):
            latest[record.key] = record.value
    return len(latest) == 4 and not any(latest.values())

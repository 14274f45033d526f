"""Planted secrets: a signed source URL is on its own topic only, and ends there when its asset is deleted; a deleted
film's name and words are on no topic but those whose records end, in no row, file, log or response.
"""

import contextlib
import json
import shutil
import sqlite3
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
from streams.kafka.topics import required_topics
from streams.process.ports import free_port
from streams.settings import load
from tests.asyncapi import records
from tests.conftest import eventually
from tests.e2e.conftest import SHORT_LEASES
from tests.e2e.system import Api, System

SECRET = "planted5ecret"
#: Of a film: in its file name, in what its submitter passed through, and what is said in it.
PLANTED = ("plantedf1lm", "plantedpassthr0ugh", "plantedw0rd")
#: Topics that have something of a deleted asset until their retention ends. Source: docs/guarantees.md.
ENDING = (
    "media.events",
    "media.progress",
    "media.commands",
    "media.step-events",
    "media.step-requests",
    "media.audit",
)
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
        return web.json_response(
            {"text": f"hello {PLANTED[2]}", "chunks": [{"timestamp": [0, 1], "text": f"hello {PLANTED[2]}"}]}
        )

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
    topics = {record.topic for record in await _all_records(system) if SECRET in _text(record)}
    assert topics <= {APART, UPSTREAM}


async def _all_records(system: System) -> list[Any]:
    """Of every topic, as a reader has them: on the disk their batches may be compressed."""
    return await records(system.cluster, *(topic.name for topic in required_topics(load({}))))


def _text(record: Any) -> str:
    parts = [record.key, record.value, *(value for _, value in record.headers)]
    return b" ".join(part or b"" for part in parts).decode(errors="replace")


async def test_a_deleted_film_is_nowhere_but_on_topics_that_end(
    downloading: System, origin_port: int, clip: Path, tmp_path: Path
) -> None:
    """Stops the system: the files of a running replica are open to nobody else."""
    film = tmp_path / f"{PLANTED[0]}.mp4"
    shutil.copy(clip, film)
    async with origin(origin_port, clip), downloading.client() as api:
        accepted = await api.upload(film, pipeline="transcribe", passthrough=PLANTED[1])
        assert (await api.ended(accepted["job_id"], 240))["status"] == "completed"
        await eventually(partial(_finds, api, PLANTED[2]), 60)
        assert set(PLANTED) == {text for text in PLANTED if text in await _all_answers(api)}
        for asset in await api.get("/v1/assets"):  # the same is said in those of another test
            async with api.session.delete(f"/v1/assets/{asset['id']}") as reply:
                assert reply.status == 202, await reply.text()
        await eventually(lambda: _has_left(downloading, api, accepted), 120)
        await eventually(lambda: _finds_nothing(api, PLANTED[2]), 120)
        assert [text for text in PLANTED if text in await _all_answers(api)] == []
        await _only_where_it_ends(downloading)
        await eventually(lambda: _is_erased(downloading), 60)
    assert downloading.stop() == 0
    assert list(_web_files_with_planted(downloading)) == []
    assert [text for text in PLANTED if text in downloading.log()] == []
    assert list(_rows_with_planted(downloading)) == []


async def _finds(api: Api, word: str) -> bool:
    return bool(await api.get("/v1/search", q=word, mode="text"))


async def _finds_nothing(api: Api, word: str) -> bool:
    return not await _finds(api, word)


async def _all_answers(api: Api) -> str:
    """The text of every list, and of every job and asset."""
    paths = [
        "/v1/jobs?limit=500",
        "/v1/jobs/export?format=csv",
        "/v1/assets",
        "/v1/cache-assets",
        "/metrics",
        "/v1/stats",
    ]
    paths += [f"/v1/search?mode=text&q={PLANTED[2]}", f"/v1/jobs?q={PLANTED[0]}"]
    for job in await api.get("/v1/jobs"):
        paths += [f"/v1/jobs/{job['id']}", f"/v1/assets/{job['asset_id']}"]
    texts = []
    for path in paths:
        async with api.session.get(path) as reply:
            texts.append((await reply.text()).replace(path, ""))
    return "\n".join(texts)


async def _has_left(system: System, api: Api, accepted: dict[str, str]) -> bool:
    """Whether the asset, its job and its files are gone."""
    for path in (f"/v1/assets/{accepted['asset_id']}", f"/v1/jobs/{accepted['job_id']}"):
        async with api.session.get(path) as reply:
            if reply.status != 404:
                return False
    return not any(accepted["asset_id"] in str(path) for path in (system.data_dir / "store").rglob("*"))


async def _only_where_it_ends(system: System) -> None:
    """What is planted is in no current row of a changelog, and on topics that end only."""
    latest: dict[tuple[str, bytes], str] = {}
    for record in await _all_records(system):
        text = _text(record)
        if record.topic.endswith("-changelog") or record.topic == APART:
            latest[record.topic, record.key] = text if record.value is not None else ""
        elif any(planted in text for planted in PLANTED):
            assert record.topic.startswith(ENDING), record.topic
    assert [key for key, text in latest.items() if any(planted in text for planted in PLANTED)] == []


async def _is_erased(system: System) -> bool:
    return not any(_web_files_with_planted(system))


def _web_files_with_planted(system: System) -> Iterator[str]:
    """Files of web's replica with something planted in any byte, in use or not."""
    for path in (system.data_dir / "web").rglob("*"):
        if path.is_file() and any(planted.encode() in _read(path) for planted in PLANTED):
            yield path.name


def _rows_with_planted(system: System) -> Iterator[str]:
    """Tables of the read model and the search index with something planted, full-text indexes included."""
    files = [path for path in (system.data_dir / "web").iterdir() if _read(path).startswith(b"SQLite format 3")]
    assert len(files) >= 2
    for path in files:
        with contextlib.closing(sqlite3.connect(path)) as db:
            for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                rows = db.execute(f'SELECT * FROM "{table}"').fetchall()
                if any(planted.encode() in _bytes(value) for row in rows for value in row for planted in PLANTED):
                    yield f"{path.name}: {table}"


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


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

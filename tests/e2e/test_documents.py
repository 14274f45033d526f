"""The examples of README.md and docs/producers.md do what the documents promise, word by word."""

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from streams.broker.jvm import find_jvm
from tests.documents import block
from tests.e2e.system import Api, System

PRODUCERS = "docs/producers.md"
#: Addresses of `kinolog up` by default, in the documents.
BROKER, WEB = "127.0.0.1:9092", "http://127.0.0.1:8080"


def as_written(system: System, text: str) -> str:
    """An example with the addresses of this system: its ports are free ones."""
    return text.replace(BROKER, system.bootstrap).replace(WEB, system.url)


def python(path: Path, text: str) -> list[str]:
    """The command that runs an example."""
    path.write_text(text)
    return [sys.executable, str(path)]


async def run(command: list[str], folder: Path) -> None:
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.asynccontextmanager
async def running(command: list[str], folder: Path) -> AsyncIterator[asyncio.StreamReader]:
    """What an example prints, until the end of the context."""
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def job_of(api: Api, asset_id: str) -> dict[str, Any]:
    """The asset's only job once it has ended."""
    async with asyncio.timeout(60):
        while not (jobs := await api.get("/v1/jobs", asset_id=asset_id)):
            await asyncio.sleep(0.1)
    [job] = jobs
    return await api.ended(job["id"])


@pytest.fixture
def uploaded(system: System, clip: Path) -> Iterator[None]:
    """The media that the examples name, where their services would have stored it."""
    incoming = system.stored("incoming/talk.mp4")
    incoming.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(clip, incoming)
    yield
    shutil.rmtree(incoming.parent)


@pytest.mark.usefixtures("uploaded")
@pytest.mark.parametrize(
    "heading, asset_id",
    [
        ("Python: aiokafka", "talk-aiokafka"),
        ("Python: kafka-python", "talk-kafka-python"),
        ("librdkafka", "talk-librdkafka"),
    ],
)
async def test_an_upload_event_published_as_documented_becomes_media_that_plays(
    system: System, tmp_path: Path, heading: str, asset_id: str
) -> None:
    await run(python(tmp_path / "publish.py", as_written(system, block(PRODUCERS, heading, "python"))), tmp_path)
    async with system.client() as api:
        assert (await job_of(api, asset_id))["status"] == "completed"
        assert (await api.get(f"/v1/assets/{asset_id}"))["status"] == "READY"


@pytest.mark.usefixtures("uploaded")
async def test_an_upload_event_published_from_java_as_documented_becomes_media_that_plays(
    system: System, tmp_path: Path
) -> None:
    jvm = await find_jvm()
    (tmp_path / "PublishUpload.java").write_text(as_written(system, block(PRODUCERS, "Java", "java")))
    await run([jvm.java, "-cp", ":".join(jvm.jars), "PublishUpload.java"], tmp_path)
    async with system.client() as api:
        assert (await job_of(api, "talk-java"))["status"] == "completed"


async def test_an_event_published_twice_as_documented_is_one_job(system: System, tmp_path: Path) -> None:
    for _ in range(2):
        await run(
            python(tmp_path / "publish.py", as_written(system, block(PRODUCERS, "Python: aiokafka", "python"))),
            tmp_path,
        )
    async with system.client() as api:
        await job_of(api, "talk-aiokafka")


async def test_wrong_events_are_found_on_the_dead_letters_as_documented(system: System, tmp_path: Path) -> None:
    good = [("content-type", b"application/json"), ("ce_specversion", b"1.0"), ("ce_source", b"/cms")]
    kind = ("ce_type", b"media.upload.completed.v1")
    wrong = {
        "not-an-event": (b'{"input": {"object": "a.mp4"}}', [*good, kind]),
        "unknown-type": (b"{}", [*good, ("ce_id", b"1"), ("ce_type", b"media.upload.completed")]),
        "invalid-message": (b'{"input": "a.mp4"}', [*good, ("ce_id", b"2"), kind]),
        "unknown-pipeline": (b'{"input": {"object": "a"}, "pipeline": "none"}', [*good, ("ce_id", b"3"), kind]),
        "invalid-input": (b'{"input": {}}', [*good, ("ce_id", b"4"), kind]),
    }
    async with AIOKafkaProducer(bootstrap_servers=system.bootstrap) as producer:
        for value, headers in wrong.values():
            await producer.send_and_wait("media.uploads", value, headers=headers)
    command = python(tmp_path / "watch.py", as_written(system, block(PRODUCERS, "Wrong events", "python")))
    missing = set(wrong)
    async with asyncio.timeout(60), running(command, tmp_path) as printed:
        while missing:
            event_type, _, content = (await printed.readline()).decode().partition(" ")
            if event_type == "media.dead-letter.v1":
                missing.discard(json.loads(content)["error"]["code"])


@pytest.mark.usefixtures("uploaded")
async def test_the_first_upload_event_of_the_readme_is_followed_until_it_plays(system: System, tmp_path: Path) -> None:
    token = tmp_path / "kinolog-data" / "run" / "token"
    token.parent.mkdir(parents=True)
    token.write_text(system.token)
    publish = as_written(system, block("README.md", "Publish your first upload event", "python"))
    follow = as_written(system, block("README.md", "Follow it live", "python"))
    async with asyncio.timeout(120), running(python(tmp_path / "follow.py", follow), tmp_path) as printed:
        assert (await printed.readline()).startswith(b"snapshot"), "not connected"
        await run(python(tmp_path / "publish.py", publish), tmp_path)
        while await printed.readline() != b"job completed\n":
            pass
    async with system.client() as api:
        assert (await job_of(api, "talk-1"))["status"] == "completed"
        assert (await api.get("/v1/assets/talk-1"))["status"] == "READY"

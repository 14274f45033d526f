"""Speech goes in, and is found by what was said: over REST, and on the command line, by the running system."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer

from tests.conftest import eventually
from tests.e2e.system import Api, System, step_of


async def search(api: Api, q: str, mode: str, asset_id: str) -> list[dict[str, Any]]:
    """The hits in one asset, best first: other tests let the same words be said to the same system."""
    async with api.session.get("/v1/search", params={"q": q, "mode": mode}) as answer:
        body = await answer.json()
        assert answer.status == 200, body
        assert body["mode"] == mode, body
        return [passage for passage in body["data"] if passage["asset_id"] == asset_id]


def kinolog(system: System, *arguments: str) -> str:
    """What a command prints; it finds the service by its data dir."""
    command = [sys.executable, "-m", "streams.cli", *arguments]
    return subprocess.run(command, env=system.environ(), check=True, capture_output=True, text=True, timeout=60).stdout


async def test_speech_is_found_by_its_words_and_by_what_it_means(system: System, speech: Path) -> None:
    async with system.client() as api:
        accepted = await api.upload(speech)
        await api.wait(accepted["job_id"], lambda job: step_of(job, "transcribe")["status"] == "completed", 180)
        transcribed = time.monotonic()

        async def by_word() -> list[dict[str, Any]]:
            return await search(api, "country", "text", accepted["asset_id"])

        await eventually(by_word, 10, 0.05)
        assert time.monotonic() - transcribed < 2
        job = await api.ended(accepted["job_id"], 240)
        assert job["status"] == "completed", job
        embedded = step_of(job, "embed")["outputs"]
        assert embedded["space"]["dim"] == 384

        async def by_meaning() -> list[dict[str, Any]]:
            return await search(api, "serving one's nation", "vector", accepted["asset_id"])

        await eventually(by_meaning, 60, 0.2)
        for q, mode in (("country", "text"), ("serving one's nation", "vector"), ("serving one's nation", "hybrid")):
            best = (await search(api, q, mode, accepted["asset_id"]))[0]
            assert "what you can do for your country" in best["text"].lower().replace(",", "")
            assert (best["job_id"], best["filename"]) == (accepted["job_id"], "speech.mp4")
            assert best["start_ms"] < 1500
            assert 6_000 < best["end_ms"] < 12_000
        printed = await asyncio.to_thread(kinolog, system, "search", "country")
        assert "speech.mp4" in printed and accepted["job_id"] in printed
        captions = await asyncio.to_thread(kinolog, system, "transcript", accepted["job_id"], "--format", "vtt")
        assert captions.startswith("WEBVTT") and "country" in captions
        assert "country" in await asyncio.to_thread(kinolog, system, "transcript", accepted["job_id"])
        await require_deletable(api, system, accepted["asset_id"])


async def require_deletable(api: Api, system: System, asset_id: str) -> None:
    """Deleted, an asset leaves neither files nor rows nor passages, and a fact that says so."""
    assert any((system.data_dir / "store").rglob(f"{asset_id}/*"))
    async with api.session.delete(f"/v1/assets/{asset_id}") as reply:
        assert reply.status == 202, await reply.text()
    for path in (f"/v1/assets/{asset_id}", f"/v1/jobs?asset_id={asset_id}"):
        async with api.session.get(path) as reply:
            assert reply.status == 404 or (await reply.json())["data"] == []
    await eventually(lambda: not any((system.data_dir / "store").rglob(asset_id)), 30)
    for q, mode in (("country", "text"), ("serving one's nation", "vector")):

        async def forgotten(q: str = q, mode: str = mode) -> bool:
            return not await search(api, q, mode, asset_id)

        await eventually(forgotten, 30)
    assert (await fact(system, "media.asset.deleted.v1", asset_id))["asset_id"] == asset_id


async def fact(system: System, kind: str, asset_id: str) -> Any:
    """The data of a fact about an asset."""
    consumer = AIOKafkaConsumer("media.events", **system.upstream.client_options(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            async for record in consumer:
                if record.key == asset_id.encode() and ("ce_type", kind.encode()) in record.headers:
                    return json.loads(record.value)
    finally:
        await consumer.stop()

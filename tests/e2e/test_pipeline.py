"""A file goes in, a playable asset comes out, live."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer

from streams.kafka.partitioner import partition_of
from tests.e2e.system import Api, System, step_of


def test_up_is_ready_with_one_line_that_names_everything(system: System) -> None:
    assert set(system.ready_line) >= {"ready", "url", "token", "bootstrap", "pids"}
    parts = {"control", "executor", "web"} | ({"broker"} if system.has_broker else set())
    assert set(system.ready_line["pids"]) == parts


@pytest.mark.parametrize("name", ["made here", "bigbuckbunny.mp4", "bikes.mp4"])
async def test_a_clip_becomes_a_ready_asset_whose_renditions_all_play(
    system: System, clip: Path, sample_media: Callable[[str], Path | None], name: str
) -> None:
    async with system.client() as api:
        accepted = await api.upload(sample_media(name) or clip)
        job = await api.ended(accepted["job_id"])
        asset = await api.get(f"/v1/assets/{accepted['asset_id']}")
    assert job["status"] == "completed", job
    assert job["progress"] == 100
    assert asset["status"] == "READY"
    outputs = step_of(job, "transcode")["outputs"]
    playlists = [rendition["playlist"] for rendition in outputs["renditions"]]
    assert len(playlists) >= 2
    for key in [*playlists, outputs["master"]]:
        assert decode_errors(system.stored(key)) == ""
    assert system.stored(step_of(job, "thumbnails")["outputs"]["poster"]).stat().st_size > 1000
    assert not list((system.data_dir / "scratch").rglob("*.*")), "scratch space was left behind"


def decode_errors(playlist: Path) -> str:
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(playlist), "-f", "null", "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stderr


async def test_live_frames_fold_into_what_rest_says_and_progress_never_falls(system: System, clip: Path) -> None:
    async with system.client() as api, api.session.ws_connect("/v1/live", params={"subscribe": "all"}) as live:
        first = await live.receive_json(timeout=20)
        assert first["type"] == "snapshot" and first["cursor"]
        jobs: dict[str, Any] = {job["id"]: job for job in first["jobs"]}
        accepted = await api.upload(clip)
        highest = await fold_until_ended(live, jobs, accepted["job_id"])
        listed = {job["id"]: job for job in await api.get("/v1/jobs", limit="500")}
    assert jobs == listed
    assert highest["transcode"] > 0


async def fold_until_ended(
    live: aiohttp.ClientWebSocketResponse, jobs: dict[str, Any], job_id: str, within_s: float = 180.0
) -> dict[str, float]:
    """Fold frames into `jobs` until the job has ended; the highest progress frame seen per step."""
    highest: dict[str, float] = {}
    async with asyncio.timeout(within_s):
        while jobs.get(job_id, {}).get("status") not in ("completed", "failed"):
            frame = await live.receive_json()
            if frame["type"] == "job":
                jobs[frame["job"]["id"]] = frame["job"]
            elif frame["type"] == "progress" and frame["job_id"] == job_id:
                assert frame["progress"] >= highest.get(frame["step"], 0), "progress fell"
                highest[frame["step"]] = frame["progress"]
    return highest


async def test_a_client_that_comes_back_with_its_cursor_misses_nothing(system: System) -> None:
    async with system.client() as api:
        async with api.session.ws_connect("/v1/live", params={"subscribe": "all"}) as live:
            cursor = (await live.receive_json(timeout=20))["cursor"]
        status, body = await api.post("/v1/assets", {"input": {"object": "nothing-here"}, "pipeline": "noop"})
        assert status == 202
        await api.ended(body["data"]["job_id"])
        params = {"subscribe": "all", "cursor": cursor}
        async with api.session.ws_connect("/v1/live", params=params) as live, asyncio.timeout(20):
            seen: list[str] = []
            while not seen or seen[-1] != "completed":
                frame = await live.receive_json()
                assert frame["type"] != "snapshot", "the history was lost"
                if frame["type"] == "job" and frame["job"]["id"] == body["data"]["job_id"]:
                    seen.append(frame["job"]["status"])
    assert seen[0] == "waiting"


async def send_upload_event(system: System, event_id: str, data: bytes) -> None:
    producer = AIOKafkaProducer(**system.upstream.client_options())
    await producer.start()
    try:
        headers = {
            "ce_specversion": "1.0",
            "ce_id": event_id,
            "ce_source": "upstream",
            "ce_type": "media.upload.completed.v1",
        }
        encoded = [(name, value.encode()) for name, value in headers.items()]
        await producer.send_and_wait(
            "media.uploads", data, key=b"asset_up", partition=partition_of("asset_up", 8), headers=encoded
        )
    finally:
        await producer.stop()


async def test_the_same_upload_event_twice_is_one_job(system: System) -> None:
    data = b'{"asset_id": "asset_up", "input": {"object": "nothing-here"}, "pipeline": "noop", "passthrough": "mine"}'
    for _ in range(2):
        await send_upload_event(system, "event-1", data)
    async with system.client() as api:
        async with asyncio.timeout(30):
            while not (jobs := await api.get("/v1/jobs", asset_id="asset_up", status="completed")):
                await asyncio.sleep(0.1)
        every = await api.get("/v1/jobs", asset_id="asset_up")
    assert len(every) == len(jobs) == 1
    assert jobs[0]["passthrough"] == "mine"


@pytest.fixture
def hostile(tmp_path: Path, clip: Path) -> dict[str, Path]:
    """Files that are not what they say, by the code they must end with."""
    whole = clip.read_bytes()
    contents = {
        "empty-media": b"",
        "corrupt-media": whole[: len(whole) // 2],
        "unsupported-media": b"Dear diary, today nothing was recorded.\n" * 20,
        "unsupported-media-playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    }
    files = {code: tmp_path / f"{code}.mp4" for code in contents}
    for code, content in contents.items():
        files[code].write_bytes(content)
    return files


async def test_bad_files_end_with_a_code_and_a_sentence_and_disturb_nobody(
    system: System, hostile: dict[str, Path], clip: Path
) -> None:
    async with system.client() as api:
        good = await api.upload(clip)
        jobs = {code: await submitted_and_ended(api, file) for code, file in hostile.items()}
        assert (await api.ended(good["job_id"]))["status"] == "completed"
    for code, job in jobs.items():
        assert job["status"] == "failed"
        assert job["error"]["code"] == code.removesuffix("-playlist")
        assert job["error"]["message"].endswith((".", "!")) and "Traceback" not in job["error"]["message"]
        assert step_of(job, "probe")["attempt"] == 1
        assert "root:" not in str(job)


async def submitted_and_ended(api: Api, file: Path) -> dict[str, Any]:
    accepted = await api.upload(file)
    return await api.ended(accepted["job_id"])

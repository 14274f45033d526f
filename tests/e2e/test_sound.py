"""What becomes of sound in the running system: captions, live and in the player; nothing where there is none."""

import contextlib
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest

from tests.conftest import SampleMedia, eventually
from tests.e2e.system import JOB_ENDED, Api, System, command_lines, step_of

SAID = "My fellow Americans, ask not what your country can do for you. Ask what you can do for your country."
_FFMPEG = ["ffmpeg", "-nostdin", "-v", "error", "-y"]
_X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]


@pytest.fixture
def speech(tmp_path: Path, sample_media: SampleMedia) -> Path:
    """A video with speech: real picture and voice where there are some."""
    picture, voice, made = sample_media("bigbuckbunny.mp4"), sample_media("jfk.flac"), tmp_path / "speech.mp4"
    if voice is None:
        voice = tmp_path / "voice.wav"
        subprocess.run(["espeak-ng", "-v", "en-us", "-s", "130", "-w", str(voice), SAID], check=True, timeout=60)
    shown = ["-stream_loop", "-1", "-i", str(picture)] if picture else ["-f", "lavfi", "-i", "testsrc2=s=640x360:r=25"]
    tracks = ["-map", "0:v", "-map", "1:a", "-vf", "scale=640:360", "-shortest"]
    subprocess.run([*_FFMPEG, *shown, "-i", str(voice), *tracks, *_X264, "-c:a", "aac", made], check=True, timeout=120)
    return made


@pytest.fixture
def mute(tmp_path: Path) -> Path:
    """A video without sound."""
    made = tmp_path / "mute.mp4"
    subprocess.run([*_FFMPEG, "-f", "lavfi", "-i", "testsrc2=s=320x180:d=2", *_X264, made], check=True, timeout=60)
    return made


async def frames_until_end(live: aiohttp.ClientWebSocketResponse, job_id: str) -> list[dict[str, Any]]:
    """Every frame of a job up to its end."""
    found = []
    while True:
        frame = await live.receive_json(timeout=180)
        of = frame.get("job_id") or frame.get("job", {}).get("id")
        if of == job_id:
            found.append(frame)
            if frame["type"] == "job" and frame["job"]["status"] in JOB_ENDED:
                return found


async def text_at(address: str) -> str:
    """What stands there, for whoever has nothing but the address."""
    async with aiohttp.ClientSession() as stranger, stranger.get(address) as answer:
        assert answer.status == 200, (address, answer.status)
        return await answer.text()


async def test_captions_come_live_and_then_with_the_video(system: System, speech: Path) -> None:
    async with system.client() as api, api.session.ws_connect("/v1/live", params={"subscribe": "all"}) as live:
        accepted = await api.upload(speech)
        frames = await frames_until_end(live, accepted["job_id"])
        job = frames[-1]["job"]
        assert job["status"] == "completed", job
        _assert_live(frames)
        _, answer = await api.post(f"/v1/assets/{accepted['asset_id']}/playback", {})
        master_url = urljoin(system.url, answer["data"]["master_url"])
        await _assert_captioned(master_url, job)
        assert "country" in await text_at(urljoin(system.url, answer["data"]["captions"][0]))


def _assert_live(frames: list[dict[str, Any]]) -> None:
    captions = [at for at, frame in enumerate(frames) if frame["type"] == "caption"]
    assert "country" in " ".join(frames[at]["text"] for at in captions)
    ended = next(
        at
        for at, frame in enumerate(frames)
        if frame["type"] == "job" and step_of(frame["job"], "transcribe")["status"] == "completed"
    )
    assert captions[0] < ended


async def _assert_captioned(master_url: str, job: dict[str, Any]) -> None:
    master = (await text_at(master_url)).splitlines()
    [media] = [line for line in master if "TYPE=SUBTITLES" in line]
    assert 'LANGUAGE="en"' in media
    for uri in [line for line in master if line and not line.startswith("#")]:
        assert "#EXT-X-ENDLIST" in await text_at(urljoin(master_url, uri))
    playlist_url = urljoin(master_url, media.partition('URI="')[2].partition('"')[0])
    [uri] = [line for line in (await text_at(playlist_url)).splitlines() if line and not line.startswith("#")]
    start_s = step_of(job, "transcode")["outputs"]["start_s"]
    vtt = await text_at(urljoin(playlist_url, uri))
    assert f"X-TIMESTAMP-MAP=MPEGTS:{round(start_s * 90_000)},LOCAL:00:00:00.000" in vtt
    assert "country" in vtt


async def test_a_video_without_sound_is_ready_and_says_why_the_rest_was_skipped(system: System, mute: Path) -> None:
    async with system.client() as api:
        accepted = await api.upload(mute)
        job = await api.ended(accepted["job_id"], 180)
        assert job["status"] == "completed", job
        for step in ("audio", "transcribe", "captions", "embed"):
            found = step_of(job, step)
            assert (found["status"], found["reason"]) == ("skipped", "no-audio-track"), found
        assert (await _asset(api, accepted["asset_id"]))["status"] == "READY"


def models_of(system: System) -> list[int]:
    """Processes of the executor that hold a speech model."""
    found = []
    for pid, command in command_lines():
        if "processors.models.whisper" in command:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                if int(stat[1]) == system.pid("executor"):
                    found.append(pid)
    return found


async def test_cancelling_in_the_middle_of_speech_ends_the_model_and_the_next_job_has_one(
    system: System, speech: Path, tmp_path: Path
) -> None:
    long = tmp_path / "long.wav"
    subprocess.run(["espeak-ng", "-v", "en-us", "-w", str(long), f"{SAID} " * 40], check=True, timeout=60)
    async with system.client() as api, api.session.ws_connect("/v1/live", params={"subscribe": "all"}) as live:
        accepted = await api.upload(long)
        while (await live.receive_json(timeout=180))["type"] != "caption":
            pass
        assert models_of(system)
        cancelled_at = time.monotonic()
        status, _ = await api.post(f"/v1/jobs/{accepted['job_id']}/cancel")
        assert status == 202
        await eventually(lambda: not models_of(system))
        assert time.monotonic() - cancelled_at < 2
        assert (await api.ended(accepted["job_id"], 30))["status"] == "cancelled"
        again = await api.upload(speech)
        job = await api.ended(again["job_id"], 180)
        assert step_of(job, "transcribe")["status"] == "completed", job


async def _asset(api: Api, asset_id: str) -> dict[str, Any]:
    found: dict[str, Any] = await api.get(f"/v1/assets/{asset_id}")
    return found

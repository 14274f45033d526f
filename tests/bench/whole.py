"""Figures of a whole running system: starts, media work, one job at a time, idleness."""

import asyncio
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tests.bench.bare import bare_seconds
from tests.bench.figures import BARE_PIPELINE, COLD_START, ONE_JOB, Figure, cpu_seconds, percentile, rss_mb, spread
from tests.e2e.system import Api, System

#: Parts whose CPU and memory are told apart.
PARTS = ("broker", "control", "executor", "web")
_STARTS, _TRIPS, _IDLE_S, _CLIP_S = 5, 400, 20.0, 20


def make_clip(path: Path, seconds: int) -> Path:
    """A 720p clip with movement, noise and sound: what a phone would upload, without needing one."""
    video = f"testsrc2=size=1280x720:rate=25:duration={seconds},noise=alls=12:allf=t"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", video]
    command += ["-f", "lavfi", "-i", f"sine=frequency=330:sample_rate=48000:duration={seconds}"]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest", str(path)]
    subprocess.run(command, check=True, timeout=300)
    return path


async def figures(runs: int) -> list[Figure]:
    """All of them. `runs` of the pipeline."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        system, start = await asyncio.to_thread(_cold_starts, folder)
        try:
            resting = await asyncio.to_thread(_idle, system)
            clip = await asyncio.to_thread(make_clip, folder / "clip.mp4", _CLIP_S)
            found = [start, await _pipeline_ratio(system, clip, runs), *await _single_jobs(system, resting)]
        finally:
            await asyncio.to_thread(system.stop)
    return [*found, _idleness(resting)]


def _cold_starts(folder: Path) -> tuple[System, Figure]:
    """A fresh data dir to the ready line, again and again; the last one stays up."""
    seconds: list[float] = []
    while True:
        began = time.monotonic()
        system = System(folder / f"data-{len(seconds)}")
        seconds.append(time.monotonic() - began)
        if len(seconds) == _STARTS:
            middle = statistics.median(seconds)
            return system, Figure(
                COLD_START,
                "How long you wait for the page after a start.",
                f"{middle:.1f} s",
                spread(seconds, " s"),
                "<= 8 s",
                middle / 8,
            )
        system.stop()


async def _pipeline_ratio(system: System, clip: Path, runs: int) -> Figure:
    """Wall time from the upload's first byte to the job's end, against its own ffmpeg commands run bare, in turn."""
    ratios: list[float] = []
    async with system.client() as api:
        for _ in range(runs):
            began = time.monotonic()
            accepted = await api.upload(clip, pipeline="video")
            job = await api.ended(accepted["job_id"], 900)
            assert job["status"] == "completed", job
            ratios.append((time.monotonic() - began) / await bare_seconds(clip))
    ratio = statistics.median(ratios)
    meaning = "What kinolog adds to the encode itself: below 1 the steps' overlap saves more than it costs."
    return Figure(BARE_PIPELINE, meaning, f"{ratio:.2f}", spread(ratios), "<= 1.00", ratio)


async def _single_jobs(system: System, resting: dict[str, tuple[float, float]]) -> list[Figure]:
    """From the POST to the websocket frame that says completed, one job at a time, and the CPU of it all."""
    before, began = _cpu_s(system), time.monotonic()
    took_ms: list[float] = []
    async with system.client() as api, api.session.ws_connect("/v1/live", params={"subscribe": "all"}) as live:
        await live.receive_json(timeout=20)
        took_ms += [await _trip(api, live, number) * 1000 for number in range(_TRIPS)]
    idle_share = sum(share for share, _ in resting.values()) / 100
    cpu_ms = (_cpu_s(system) - before - idle_share * (time.monotonic() - began)) / _TRIPS * 1000
    p50, p99 = percentile(took_ms, 50), percentile(took_ms, 99)
    told = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"
    return [
        Figure(
            ONE_JOB,
            "What kinolog adds to the time of each job.",
            told,
            spread(took_ms, " ms"),
            "p50 <= 25, p99 <= 100 ms",
            max(p50 / 25, p99 / 100),
        ),
        Figure(
            "CPU of all processes per single job",
            "What a job costs beside its media work.",
            f"{cpu_ms:.1f} ms",
            f"n={_TRIPS}",
            "<= 2 ms",
            cpu_ms / 2,
        ),
    ]


async def _trip(api: Api, live: object, number: int) -> float:
    began = time.monotonic()
    _, answer = await api.post("/v1/assets", {"input": {"object": f"nothing-{number}"}, "pipeline": "noop"})
    job_id = answer["data"]["job_id"]
    async with asyncio.timeout(30):
        while True:
            frame = await live.receive_json()  # type: ignore[attr-defined]  # aiohttp's websocket
            job = frame.get("job", {})
            if frame["type"] == "job" and (job["id"], job["status"]) == (job_id, "completed"):
                return time.monotonic() - began


def _cpu_s(system: System) -> float:
    return sum(cpu_seconds(system.pid(part)) for part in PARTS)


def _idle(system: System) -> dict[str, tuple[float, float]]:
    """Percent of one core and resident MB of each process while nothing is asked of it."""
    time.sleep(3.0)  # what the start left to do is not idleness
    before = {part: cpu_seconds(system.pid(part)) for part in PARTS}
    time.sleep(_IDLE_S)
    return {
        part: ((cpu_seconds(system.pid(part)) - before[part]) / _IDLE_S * 100, rss_mb(system.pid(part)))
        for part in PARTS
    }


def _idleness(resting: dict[str, tuple[float, float]]) -> Figure:
    total = sum(share for share, _ in resting.values())
    parts = ", ".join(f"{part} {share:.1f} % {mb:.0f} MB" for part, (share, mb) in resting.items())
    meaning = "What it costs to leave it running."
    return Figure("idle, whole system", meaning, f"{total:.1f} % of one core", parts, "<= 5 %", total / 5)

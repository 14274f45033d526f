"""`make bench`: measures this checkout on this machine and writes the table into the README."""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.bench.bare import bare_seconds
from tests.e2e.system import System

ROOT = Path(__file__).resolve().parents[2]
MARKS = ("<!-- bench: begin -->", "<!-- bench: end -->")
#: Parts whose CPU and memory are told apart.
PARTS = ("broker", "control", "executor", "web")


class Figure(NamedTuple):
    """One line of the table."""

    what: str
    measured: str
    spread: str
    bar: str


def make_clip(path: Path, seconds: int) -> Path:
    """A 720p clip with movement, noise and sound: what a phone would upload, without needing one."""
    video = f"testsrc2=size=1280x720:rate=25:duration={seconds},noise=alls=12:allf=t"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", video]
    command += ["-f", "lavfi", "-i", f"sine=frequency=330:sample_rate=48000:duration={seconds}"]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest", str(path)]
    subprocess.run(command, check=True, timeout=300)
    return path


async def pipeline_ratio(system: System, clip: Path, runs: int) -> Figure:
    """Wall time from the upload's first byte to the job's end, against its own ffmpeg commands run bare, in turn."""
    ratios: list[float] = []
    seconds: list[float] = []
    async with system.client() as api:
        for _ in range(runs):
            began = time.monotonic()
            accepted = await api.upload(clip, pipeline="video")
            job = await api.ended(accepted["job_id"], 900)
            assert job["status"] == "completed", job
            seconds.append(time.monotonic() - began)
            ratios.append(seconds[-1] / await bare_seconds(clip))
    measured = f"{statistics.median(ratios):.2f} ({statistics.median(seconds):.1f} s)"
    return Figure("pipeline wall time / the same commands bare, one after another", measured, spread(ratios), "<= 1.05")


async def noop_latency(system: System, runs: int) -> Figure:
    """From the POST to the websocket frame that says completed, one job at a time on an idle system."""
    took_ms: list[float] = []
    async with system.client() as api, api.session.ws_connect("/v1/live", params={"subscribe": "all"}) as live:
        await live.receive_json(timeout=20)
        for number in range(runs):
            began = time.monotonic()
            body = {"input": {"object": f"nothing-{number}"}, "pipeline": "noop"}
            _, answer = await api.post("/v1/assets", body)
            job_id = answer["data"]["job_id"]
            async with asyncio.timeout(30):
                while True:
                    frame = await live.receive_json()
                    if (
                        frame["type"] == "job"
                        and frame["job"]["id"] == job_id
                        and frame["job"]["status"] == "completed"
                    ):
                        break
            took_ms.append((time.monotonic() - began) * 1000)
    took_ms.sort()
    p50, p99 = took_ms[len(took_ms) // 2], took_ms[min(len(took_ms) - 1, int(len(took_ms) * 0.99))]
    bar = "p50 <= 25, p99 <= 100 ms"
    return Figure(
        "submit -> completed of a no-op job", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms", spread(took_ms, " ms"), bar
    )


def spread(values: list[float], unit: str = "") -> str:
    """Smallest to largest, and how many."""
    return f"{min(values):.2f}-{max(values):.2f}{unit}, n={len(values)}"


def cold_start(folder: Path) -> tuple[System, Figure]:
    """A fresh data dir to the ready line, and again with the data dir there."""
    seconds = []
    for _ in range(2):
        began = time.monotonic()
        system = System(folder / "data")
        seconds.append(time.monotonic() - began)
        if len(seconds) == 1:
            system.stop()
    return system, Figure("cold `kinolog up` -> ready; again", f"{seconds[0]:.1f} s; {seconds[1]:.1f} s", "", "<= 8 s")


def idle(system: System, seconds: float) -> list[Figure]:
    """CPU and memory of each process while nothing is asked of it."""
    time.sleep(3.0)  # what the last measurement left to do is not idleness
    before = {part: cpu_seconds(system.pid(part)) for part in PARTS}
    time.sleep(seconds)
    shares = {part: (cpu_seconds(system.pid(part)) - before[part]) / seconds * 100 for part in PARTS}
    total = Figure("idle, whole system", f"{sum(shares.values()):.1f} % of one core", f"over {seconds:.0f} s", "<= 5 %")
    return [
        total,
        *(Figure(f"idle {part}", f"{shares[part]:.1f} %, {rss_mb(system.pid(part)):.0f} MB", "", "") for part in PARTS),
    ]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process. Source: proc(5), stat fields 14 and 15."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def machine() -> str:
    """What this was measured on."""
    model = next((x for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")), ": unknown")
    ffmpeg = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
    return f"{os.cpu_count()} x {model.partition(': ')[2]}, Python {platform.python_version()}, ffmpeg {ffmpeg}"


def table(figures: list[Figure]) -> str:
    """The figures as Markdown."""
    lines = ["| what | measured | spread | bar |", "|---|---|---|---|"]
    lines += [f"| {f.what} | {f.measured} | {f.spread} | {f.bar} |" for f in figures]
    return "\n".join(
        [*lines, "", f"Measured by `make bench` on {machine()}, {time.strftime('%Y-%m-%d', time.gmtime())}."]
    )


def write_between_marks(path: Path, text: str) -> None:
    """Replace what stands between the marks."""
    head, _, rest = path.read_text().partition(MARKS[0])
    tail = rest.partition(MARKS[1])[2]
    path.write_text(f"{head}{MARKS[0]}\n{text}\n{MARKS[1]}{tail}")


async def measure(system: System, folder: Path, runs: int) -> list[Figure]:
    """Everything that needs a running system."""
    clip = make_clip(folder / "clip.mp4", seconds=20)
    return [await pipeline_ratio(system, clip, runs), await noop_latency(system, runs * 40)]


def main(report: Callable[[str], None] = print) -> int:
    """Measure, print, and write the table down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON and write nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        system, start = cold_start(Path(folder))
        try:
            figures = [start, *asyncio.run(measure(system, Path(folder), arguments.runs)), *idle(system, 20.0)]
        finally:
            system.stop()
    if arguments.json:
        report(json.dumps([figure._asdict() for figure in figures]))
        return 0
    report(table(figures))
    write_between_marks(ROOT / "README.md", table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())

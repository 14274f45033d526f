"""A backlog: many jobs at once, while executors may not take any, and then may. `python -m tests.chaos.backlog`.

Prints what each process needed, how the interface answered meanwhile, and who went first, as one JSON object.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from tests.chaos.follower import Dashboard
from tests.e2e.system import Api, System

#: What one request may hold.
_LIST = 1_000
#: Jobs that come last and shall go first.
_URGENT = 50
_PATIENCE_S = 900.0


@dataclass
class Figures:
    """What a run measured."""

    jobs: int = 0
    #: From the first request to the last answer.
    submit_s: float = 0.0
    #: From the moment executors may take to the last end.
    drain_s: float = 0.0
    #: Largest resident memory by process, MB.
    peak_mb: dict[str, int] = field(default_factory=dict)
    #: Milliseconds of `GET /v1/jobs?limit=20` and of a single submission, while jobs come in, wait and drain.
    get_ms: list[float] = field(default_factory=list)
    post_ms: list[float] = field(default_factory=list)
    #: Answers that were neither 200 nor 202, by status.
    refused: dict[int, int] = field(default_factory=dict)
    #: How many of the others had ended when the last urgent one did.
    ended_before_urgent: int = 0
    #: From the first urgent job's creation to the last one's end.
    urgent_s: float = 0.0
    #: Progress frames of a job that sleeps among the others, and live frames in all.
    progress_frames: int = 0
    frames: int = 0

    def told(self) -> dict[str, Any]:
        """For people."""
        rows = {name: value for name, value in vars(self).items() if name not in ("get_ms", "post_ms")}
        return rows | {"get_ms": _percentiles(self.get_ms), "post_ms": _percentiles(self.post_ms)}


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=100)
    return {"n": len(values), "p50": round(cuts[49], 1), "p99": round(cuts[98], 1), "max": round(max(values), 1)}


async def measure(system: System, jobs: int) -> Figures:
    """Submit `jobs` while the queue is paused, then let executors go; needs the pipelines of `pipelines`."""
    figures = Figures(jobs=jobs)
    board = Dashboard(system.url, system.token)
    async with system.client() as api, _beside(board.run(), _weigh(system, figures), _ask(system, figures)):
        assert (await api.post("/v1/queues/noop/pause"))[0] == 202
        began = time.monotonic()
        for _ in range(0, jobs, _LIST):
            await _submit(api, min(_LIST, jobs), "noop", "normal")
        figures.submit_s = time.monotonic() - began
        urgent = await _submit(api, _URGENT, "noop", "high")
        await _submit(api, 1, "sleepy", "high")
        await _wait(api, lambda counts: counts.get("waiting", 0) > jobs + _URGENT)
        assert (await api.post("/v1/queues/noop/resume"))[0] == 202
        await _drain(api, figures)
        await _rank(api, figures, set(urgent))
    figures.frames, figures.progress_frames = sum(board.frames.values()), board.frames.get("progress", 0)
    return figures


def pipelines(folder: Path) -> Path:
    """`noop` and one that sleeps and tells of it."""
    folder.mkdir(parents=True)
    params = {"noop": {}, "sleepy": {"sleep_s": 2.0, "progress_messages": 20}}
    for name, given in params.items():
        (folder / f"{name}.yaml").write_text(json.dumps({"name": name, "steps": [{"name": "noop", "params": given}]}))
    return folder


async def _submit(api: Api, count: int, pipeline: str, priority: str) -> list[str]:
    body = [{"input": {"object": "x"}, "pipeline": pipeline, "priority": priority} for _ in range(count)]
    status, answer = await api.post("/v1/assets", body)
    assert status == 202, answer
    return [item["job_id"] for item in answer["data"]]


async def _drain(api: Api, figures: Figures) -> None:
    began = time.monotonic()
    await _wait(api, lambda counts: not counts.get("waiting") and not counts.get("active"))
    figures.drain_s = time.monotonic() - began


async def _wait(api: Api, there: Callable[[dict[str, int]], bool]) -> None:
    """Return when the number of jobs by status is as it shall be."""
    deadline = time.monotonic() + _PATIENCE_S
    while not there(counts := (await api.get("/v1/stats"))["jobs"]):
        assert time.monotonic() < deadline, f"the backlog did not move on: {counts}"
        await asyncio.sleep(0.1)


async def _rank(api: Api, figures: Figures, urgent: set[str]) -> None:
    """Who ended when, by the rows."""
    async with api.session.get("/v1/jobs/export", params={"format": "json"}) as answer:
        rows = (await answer.json())["data"]
    last = max(row["finished_at"] for row in rows if row["id"] in urgent)
    figures.ended_before_urgent = sum(
        row.get("priority", "normal") == "normal" and row["finished_at"] < last for row in rows
    )
    created = min(row["created_at"] for row in rows if row["id"] in urgent)
    figures.urgent_s = (datetime.fromisoformat(last) - datetime.fromisoformat(created)).total_seconds()


@contextlib.asynccontextmanager
async def _beside(*works: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def _weigh(system: System, figures: Figures) -> None:
    """Look at resident memory again and again. Source: proc(5), VmHWM."""
    while True:
        for part in ("broker", "control", "executor", "web"):
            status = Path(f"/proc/{system.pid(part)}/status").read_text()
            peak_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
            figures.peak_mb[part] = peak_kb // 1024
        await asyncio.sleep(0.5)


async def _ask(system: System, figures: Figures) -> None:
    """What a person does meanwhile: look at the list, submit something."""
    headers = {"Authorization": f"Bearer {system.token}"}
    body = {"input": {"object": "x"}, "pipeline": "noop", "priority": "low"}
    async with aiohttp.ClientSession(system.url, headers=headers) as session:
        while True:
            for method, path, given, into in (
                ("GET", "/v1/jobs?limit=20", None, figures.get_ms),
                ("POST", "/v1/assets", body, figures.post_ms),
            ):
                began = time.perf_counter()
                async with session.request(method, path, json=given) as answer:
                    await answer.read()
                into.append((time.perf_counter() - began) * 1000)
                if answer.status not in (200, 202):
                    figures.refused[answer.status] = figures.refused.get(answer.status, 0) + 1
            await asyncio.sleep(0.05)


def _by_hand(jobs: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="backlog-") as folder:
        environ = {"KINOLOG_PIPELINES_DIR": str(pipelines(Path(folder) / "pipelines"))}
        system = System(Path(folder) / "data", **environ, KINOLOG_DEFAULT_PIPELINE="noop")
        try:
            return asyncio.run(measure(system, jobs))
        finally:
            system.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
    print(json.dumps(_by_hand(parser.parse_args().jobs).told(), indent=2))

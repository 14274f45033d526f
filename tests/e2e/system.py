"""The whole of kinolog as a stranger runs it: `kinolog up` as a process, reached over its interface."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from streams.broker.process import running_cluster
from streams.cluster import Cluster
from streams.settings import load

#: Cold start, on a machine that does other things too.
READY_WITHIN_S = 120.0
JOB_ENDED = ("completed", "failed", "cancelled")


class System:
    """One `kinolog up`, and a client of it."""

    def __init__(self, data_dir: Path, code: Path | None = None, /, **environ: str) -> None:
        """Start it; `code`: of another checkout. It has a broker of its own unless the environment names another."""
        self.data_dir = data_dir
        self._log = {name: value for name, value in environ.items() if name.startswith("KINOLOG_KAFKA__")}
        own = {"KINOLOG_DATA_DIR": str(data_dir), "KINOLOG_KAFKA__PORT": "0", "KINOLOG_WEB__PORT": "0", **environ}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("KINOLOG_")}
        if code is not None:
            own |= {"PYTHONPATH": str(code)}
        data_dir.mkdir(parents=True, exist_ok=True)
        self.log_path = data_dir / "up.log"
        with self.log_path.open("wb") as log:
            command = [sys.executable, "-m", "streams.cli", "up", "--json"]
            self.process = subprocess.Popen(
                command, env={**inherited, **own}, cwd=code, stdout=subprocess.PIPE, stderr=log
            )
        self.ready_line = self._wait_ready()
        self.url: str = self.ready_line["url"]
        self.token: str = self.ready_line["token"]
        #: For clients without a credential.
        self.bootstrap: str = self.ready_line["bootstrap"]
        #: Whether it has a broker of its own.
        self.has_broker = not self._log.get("KINOLOG_KAFKA__BOOTSTRAP")
        #: The log as upstream services reach it.
        self.upstream = Cluster(self.bootstrap) if self.has_broker else load(environ).cluster
        #: With all rights.
        self.cluster = running_cluster(data_dir / "kafka") if (data_dir / "kafka").exists() else self.upstream

    def _wait_ready(self) -> dict[str, Any]:
        killer = _kill_after(self.process, READY_WITHIN_S)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        killer()
        assert line, f"`kinolog up` did not get ready:\n{self.log_path.read_text()[-4000:]}"
        ready: dict[str, Any] = json.loads(line)
        return ready

    def environ(self) -> dict[str, str]:
        """The environment of a command in another terminal: it knows the data dir, and a log that is not below it."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("KINOLOG_")}
        return {**inherited, "KINOLOG_DATA_DIR": str(self.data_dir), **self._log}

    def pid(self, part: str) -> int:
        """Current process id of broker, control, executor or web."""
        pids: dict[str, int] = json.loads((self.data_dir / "run" / "pids.json").read_text())
        return pids[part]

    def kill(self, part: str) -> int:
        """SIGKILL one part; `up` starts it again. Returns the killed pid."""
        pid = self.pid(part)
        os.kill(pid, signal.SIGKILL)
        return pid

    def stop(self, within_s: float = 30.0) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(within_s)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            if self.process.stdout is not None:
                self.process.stdout.close()

    def log(self) -> str:
        """Everything that was logged so far."""
        return self.log_path.read_text(errors="replace")

    def tools(self) -> list[int]:
        """Living processes that name this system's scratch space: ffmpeg, ffprobe, and what wraps them."""
        return processes_naming(str(self.data_dir / "scratch"))

    def stored(self, key: str) -> Path:
        """Where a key of the store is on this disk."""
        return self.data_dir / "store" / key

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator["Api"]:
        """A client with the admin token."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with aiohttp.ClientSession(self.url, headers=headers) as session:
            yield Api(session)


@contextlib.contextmanager
def running(data_dir: Path, **environ: str) -> Iterator[System]:
    """A system that stops at the end with exit code 0."""
    system = System(data_dir, **environ)
    try:
        yield system
    finally:
        code = system.stop()
    assert code == 0, system.log()[-4000:]


def _kill_after(process: subprocess.Popen[bytes], seconds: float) -> Callable[[], None]:
    import threading  # a reader of a pipe has no deadline of its own

    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    return timer.cancel


class Api:
    """The interface of design section 8, as far as tests walk it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def get(self, path: str, **params: str) -> Any:
        """`data` of a GET that answers 200."""
        async with self.session.get(path, params=params) as answer:
            body = await answer.json()
            assert answer.status == 200, (answer.status, body)
            return body["data"]

    async def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and body of a POST."""
        async with self.session.post(path, json=body) as answer:
            return answer.status, await answer.json()

    async def upload(self, file: Path, **params: str) -> dict[str, str]:
        """Upload a file; `{asset_id, job_id}`."""
        with file.open("rb") as content:
            async with self.session.post(
                "/v1/uploads", params={"filename": file.name, **params}, data=content
            ) as answer:
                body = await answer.json()
                assert answer.status == 201, (answer.status, body)
                accepted: dict[str, str] = body["data"]
                return accepted

    async def job(self, job_id: str) -> dict[str, Any]:
        """The job's JSON."""
        found: dict[str, Any] = await self.get(f"/v1/jobs/{job_id}")
        return found

    async def wait(self, job_id: str, condition: Callable[[dict[str, Any]], bool], within_s: float) -> dict[str, Any]:
        """The job once `condition` holds. While a part is down, answers may fail: they are asked for again."""
        deadline = time.monotonic() + within_s
        job: dict[str, Any] = {}
        while time.monotonic() < deadline:
            with contextlib.suppress(aiohttp.ClientError, AssertionError, TimeoutError):
                job = await self.job(job_id)
                if condition(job):
                    return job
            await asyncio.sleep(0.1)
        raise AssertionError(f"{job_id} did not get there within {within_s} s: {json.dumps(job)[:2000]}")

    async def ended(self, job_id: str, within_s: float = 180.0) -> dict[str, Any]:
        """The job once it has ended."""
        return await self.wait(job_id, lambda job: job["status"] in JOB_ENDED, within_s)


def step_of(job: dict[str, Any], name: str) -> dict[str, Any]:
    """One step of a job's JSON."""
    found: dict[str, Any] = next(step for step in job["steps"] if step["name"] == name)
    return found


def is_transcoding(job: dict[str, Any]) -> bool:
    """Whether the transcode has begun to show progress."""
    step = step_of(job, "transcode")
    return bool(step["status"] == "active" and step["progress"] > 1)


def processes_naming(text: str) -> list[int]:
    """Living processes (no zombies) whose command line holds `text`."""
    return [pid for pid, command in command_lines() if text in command]


def command_lines() -> Iterator[tuple[int, str]]:
    """Process id and command line of every process."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it may end while we look
                yield int(folder.name), (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")

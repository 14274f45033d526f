"""The queues beside which kinolog's control plane is measured, with packages in a folder that goes again."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

from streams.process.ports import free_port
from tests.bench.figures import ROOT

_FOLDER = Path(__file__).with_name("peers")
_DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec")
_FORGETFUL = ("--appendonly", "no", "--save", "")


class Peers:
    """Installs them. A context manager."""

    def __enter__(self) -> Self:
        self._room = tempfile.TemporaryDirectory()
        self._folder = Path(self._room.name) / "peers"
        shutil.copytree(_FOLDER, self._folder)
        # Not `npm ci`: it wants the optional binaries of every other platform in the lock file.
        options = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(["npm", "install", *options], cwd=self._folder, check=True)
        uv, environment = str(ROOT / ".venv/bootstrap/bin/uv"), self._folder / "venv"
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(environment)], check=True)
        lock = str(self._folder / "requirements.lock")
        command = [uv, "pip", "sync", "-q", "--require-hashes", "--python", str(environment / "bin/python"), lock]
        subprocess.run(command, check=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._room.cleanup()

    def bullmq(self, jobs: int, progress: int, *, durable: bool = True) -> float:
        """Jobs a second of a worker with 100 jobs at a time, 1,000 jobs added at once."""
        options = _DURABLE if durable else _FORGETFUL
        with redis_server(*options) as port, self._node("work", port, progress) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline().strip() == "ready"
            with self._node("submit", port, jobs) as submitter:
                ended_ms = _last_end(worker.stdout, jobs)
                assert submitter.stdout is not None
                began_ms = float(submitter.stdout.readline())
        return jobs / (ended_ms - began_ms) * 1000

    def bullmq_trips(self, jobs: int) -> list[float]:
        """Milliseconds from a job's addition to word of its end, one job at a time."""
        with redis_server(*_DURABLE) as port, self._node("work", port, 0) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline().strip() == "ready"
            with self._node("trips", port, jobs) as submitter:
                assert submitter.stdout is not None
                took_ms: list[float] = json.loads(submitter.stdout.readline())
        return took_ms

    def bullmq_makespan_s(self, workers: int, lengths_s: Sequence[float]) -> float:
        """Seconds until jobs of these lengths have ended, by workers with one job at a time."""
        task = json.dumps({"workers": workers, "lengths_ms": [round(1000 * length_s) for length_s in lengths_s]})
        with redis_server(*_DURABLE) as port, self._node("naps", port, task) as naps:
            assert naps.stdout is not None
            return float(naps.stdout.readline()) / 1000

    def python(self, name: str, jobs: int) -> float:
        """Jobs a second of celery or arq."""
        with redis_server(*_DURABLE) as port:
            command = [str(self._folder / "venv/bin/python"), "python_queues.py", name, str(port), str(jobs)]
            done = subprocess.run(command, cwd=self._folder, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
        return float(done.stdout)

    @contextmanager
    def _node(self, mode: str, port: int, count: int | str) -> Iterator["subprocess.Popen[str]"]:
        command = ["node", "bullmq.mjs", mode, str(port), str(count)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=self._folder)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@contextmanager
def redis_server(*options: str) -> Iterator[int]:
    """A Redis of our own on a free port; its port."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            yield port
        finally:
            process.terminate()
            process.wait()


def _last_end(lines: IO[str], jobs: int) -> float:
    """When the last job ended, milliseconds since the epoch."""
    for line in lines:
        told = json.loads(line)
        if told["ended"] >= jobs:
            return float(told["at"])
    raise AssertionError("the worker ended too early")

"""Measures a replica while it is abused: how long another owner waits, and how much memory it takes."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import aiohttp

_READY_S = 120.0
#: The other owner's requests, one after another.
_PATHS = ("/v1/jobs?limit=50", "/v1/jobs/job_bert_7", "/v1/stats", "/v1/jobs?status=failed&limit=20")
_EVERY_S = 0.05


class Abused:
    """A replica that is being abused."""

    def __init__(self, url: str, pid: int) -> None:
        self.url, self.pid = url, pid

    def memory_mb(self, field: str = "VmRSS") -> float:
        """Resident memory; VmHWM: its peak."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition(f"{field}:")[2].split()[0]) / 1024

    def open_files(self) -> int:
        """Its open files, connections among them."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def cpu_s(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    async def others_wait_s(
        self, seconds: float, address: str = "127.0.0.1", until: "asyncio.Future[Any] | None" = None
    ) -> tuple[list[float], list[str]]:
        """Latencies of the other owner's requests from an IP address for a while, or until something is done, and what
        went wrong.
        """
        waits: list[float] = []
        wrong: list[str] = []
        timeout = aiohttp.ClientTimeout(total=30)
        headers = {"Authorization": "Bearer bert-views"}
        ends = time.monotonic() + seconds
        connector = aiohttp.TCPConnector(local_addr=(address, 0))
        async with aiohttp.ClientSession(self.url, headers=headers, timeout=timeout, connector=connector) as session:
            while time.monotonic() < ends and not (until is not None and until.done()):
                for path in _PATHS:
                    began = time.perf_counter()
                    try:
                        async with session.get(path) as response:
                            await response.read()
                            if response.status != 200:
                                wrong.append(f"{path}: {response.status}")
                    except (aiohttp.ClientError, TimeoutError) as error:
                        wrong.append(f"{path}: {error!r}")
                    waits.append(time.perf_counter() - began)
                    await asyncio.sleep(_EVERY_S)
        return waits, wrong


@contextmanager
def abused_replica(jobs: int = 3_000, log: IO[bytes] | None = None) -> Iterator[Abused]:
    """A replica with so many jobs of the abuser, in a process of its own; `log` gets what it logs."""
    command = [sys.executable, "-m", "tests.abuse.replica", "--jobs", str(jobs)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None and process.stdin is not None
    try:
        line: dict[str, Any] = json.loads(process.stdout.readline())
        yield Abused(line["url"], line["pid"])
    finally:
        process.stdin.close()
        try:
            process.wait(_READY_S)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def quantiles_ms(seconds: list[float]) -> dict[str, float]:
    """p50, p99 and the longest."""
    cuts = statistics.quantiles(seconds, n=100)
    found = {"p50": cuts[49], "p99": cuts[98], "max": max(seconds)}
    return {name: round(value * 1000, 1) for name, value in found.items()} | {"count": len(seconds)}

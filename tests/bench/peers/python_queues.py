"""Celery and arq on Redis, beside BullMQ: `python python_queues.py celery|arq PORT JOBS`; prints jobs a second.

Runs in an environment of its own (requirements.lock beside this file). The clock runs from the first submission until
the queue is empty and nothing is unacknowledged.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import celery
import redis
from arq import create_pool
from arq.connections import RedisSettings

_READY_S = 3.0


def application(port: int) -> Any:
    """A Celery app with one task that does nothing and keeps no result."""
    app = celery.Celery("python_queues", broker=f"redis://127.0.0.1:{port}/0")
    app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=100)
    app.task(name="noop")(nothing)
    return app


def nothing(_number: int) -> None:
    """What Celery's task does."""


async def noop(_context: dict[str, Any], _number: int) -> None:
    """The same for arq."""


@contextmanager
def _worker(*command: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(_READY_S)
        yield
    finally:
        process.terminate()
        process.wait()


def with_celery(port: int, jobs: int) -> float:
    """Jobs a second with two worker processes."""
    code = f"import python_queues as p; p.application({port}).worker_main(['worker', '-c', '2', '--loglevel', 'ERROR'])"
    client = redis.Redis(port=port)
    task = application(port).tasks["noop"]
    with _worker(sys.executable, "-c", code):
        began = time.monotonic()
        for number in range(jobs):
            task.delay(number)
        while client.llen("celery") or client.hlen("unacked"):
            time.sleep(0.02)
        return jobs / (time.monotonic() - began)


def with_arq(port: int, jobs: int) -> float:
    """Jobs a second with one worker that does 100 at a time."""
    code = (
        "import python_queues as p; from arq.worker import run_worker, func;"
        f"run_worker(type('S', (), dict(functions=[func(p.noop, keep_result=0)], max_jobs=100, poll_delay=0.01,"
        f"redis_settings=p.RedisSettings(port={port}))))"
    )
    with _worker(sys.executable, "-c", code):
        return asyncio.run(_enqueue(port, jobs))


async def _enqueue(port: int, jobs: int) -> float:
    pool = await create_pool(RedisSettings(port=port))
    began = time.monotonic()
    for first in range(0, jobs, 100):
        await asyncio.gather(*(pool.enqueue_job("noop", n) for n in range(first, min(first + 100, jobs))))
    while await pool.zcard("arq:queue"):
        await asyncio.sleep(0.02)
    return jobs / (time.monotonic() - began)


if __name__ == "__main__":
    kind, port, jobs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print({"celery": with_celery, "arq": with_arq}[kind](port, jobs))

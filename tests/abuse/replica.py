"""A web replica in a process of its own, with jobs and without a broker: `python -m tests.abuse.replica`.

Prints one line, `{"url", "pid"}`, and ends with its standard input.
"""

import argparse
import asyncio
import json
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop
from msgspec.structs import replace

from processors.storage.owner_mark import Installation, mark
from schemas.jobs import Job
from streams.process.interpreter import collect_rarely, take_short_turns
from streams.settings import load
from tables.reducer import advance
from tests.unit.web.readmodel.crowd import ERRORS, submission
from tests.unit.web.rows import record
from web.app import make_app
from web.connections.listener import BoundedSite
from web.server import ClientErrors, make_runner
from web.services import SERVICES, Services

#: Who abuses it, and who else uses it.
ABUSER, OTHER = "anna", "bert"
TOKENS = [
    {"token": "anna-views", "owner": ABUSER, "role": "viewer"},
    {"token": "anna-edits", "owner": ABUSER, "role": "editor"},
    {"token": "bert-views", "owner": OTHER, "role": "viewer"},
]
_BATCH = 500


def population(count: int, owner: str) -> list[Job]:
    """Jobs of one owner: most completed, some failed, few in flight."""
    chance, began = random.Random(owner), time.time() - 86_400
    jobs: list[Job] = []
    for number in range(count):
        at = began + number
        job, _ = advance(None, submission(number, chance, at), at)
        assert isinstance(job, Job)
        status = chance.choices(["waiting", "active", "completed", "failed"], [2, 2, 86, 10])[0]
        ended: dict[str, Any] = (
            {"started_at": at + 1, "finished_at": at + 60} if status in ("completed", "failed") else {}
        )
        error = chance.choice(ERRORS) if status == "failed" else None
        ids = {"id": f"job_{owner}_{number}", "asset_id": f"asset_{owner}_{number}"}
        if status == "completed":
            ended["steps"] = tuple(replace(step, status=status, **ended) for step in job.steps)
        jobs.append(replace(job, **ids, status=status, updated_at=at + 60, owner=owner, error=error, **ended))
    return jobs


async def fill(parts: Services, jobs: Sequence[Job]) -> None:
    """Hand rows to the replica as the changelog would."""
    offsets = list(parts.position.offsets)
    for first in range(0, len(jobs), _BATCH):
        records = []
        for job in jobs[first : first + _BATCH]:
            partition = sum(job.asset_id.encode()) % len(offsets)
            records.append(record(job, offsets[partition], partition))
            offsets[partition] += 1
        await parts.follower.take({"jobs": records, "assets": []})


@asynccontextmanager
async def serving(folder: str, jobs: int) -> AsyncIterator[tuple[str, Services]]:
    """A replica in this process; its URL and parts."""
    app = make_app(load(_environ(folder)))
    app.cleanup_ctx.clear()  # there is no broker to follow
    parts = app[SERVICES]
    await parts.model.rebuild("abuse", parts.settings.partitions)
    parts.position.restart("mark", [0] * parts.settings.partitions, rebuilding=False)
    parts.position.caught_up.set()
    await mark(parts.store, Installation(cluster_id="none", topic_prefix="media."))
    await fill(parts, population(jobs, ABUSER) + population(jobs // 10, OTHER))
    runner = make_runner(app, parts.settings.web)
    await runner.setup()
    await BoundedSite(runner, "127.0.0.1", 0).start()
    tasks = [asyncio.create_task(parts.hub.run()), asyncio.create_task(parts.sessions.run())]
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}", parts
    finally:
        for task in tasks:
            task.cancel()
        await runner.cleanup()


async def serve(folder: str, jobs: int) -> None:
    """Serve until standard input ends."""
    collect_rarely(short_pauses=True)
    take_short_turns()
    async with serving(folder, jobs) as (url, _):
        print(json.dumps({"url": url, "pid": os.getpid()}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _environ(folder: str) -> dict[str, str]:
    own: dict[str, Any] = {
        "KINOLOG_DATA_DIR": folder,
        "KINOLOG_PARTITIONS": "8",
        "KINOLOG_KAFKA__PORT": "1",
        "KINOLOG_AUTH__TOKEN": "operator",
        "KINOLOG_AUTH__TOKENS": json.dumps(TOKENS),
        "KINOLOG_STORE__URL": f"file://{Path(folder).resolve()}/store",
    }
    return own | {name: value for name, value in os.environ.items() if name.startswith("KINOLOG_")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=3_000)
    options = parser.parse_args()
    logging.getLogger("aiohttp.server").addFilter(ClientErrors())
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(serve(folder, options.jobs))
        sys.stdout.flush()
        os._exit(0)  # reader threads of the read model would wait


if __name__ == "__main__":
    main()

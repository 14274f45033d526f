"""A replica's files on a disk that is full: `python -m tests.integration.web.readmodel.on_a_full_disk FOLDER`.

In a process of its own, since what it looks for ends a process. Prints what it saw as JSON.
"""

import asyncio
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

from tests.chaos import disks
from tests.unit.web.replica import Replica
from tests.unit.web.rows import a_job
from web.readmodel import queries
from web.search.index import Entry, SearchIndex

_DISK_MB = 24


async def _write_until_refused(replica: Replica, first: int) -> int:
    """How many batches of jobs went in before there was no room."""
    for batch in range(1000):
        try:
            await replica.write(*(a_job(first + batch * 50 + n) for n in range(50)))
        except sqlite3.OperationalError:
            return batch
    raise AssertionError("the disk is never full")


async def _seen(folder: Path) -> dict[str, Any]:
    replica, index = Replica(folder), SearchIndex(folder / "search.sqlite3")
    await replica.begin()
    await replica.write(*(a_job(n) for n in range(100)))
    await index.put(Entry("asset_1", None, "a source", []))
    replica.model.close()
    index.close()
    disks.fill(folder)
    again, index = Replica(folder), SearchIndex(folder / "search.sqlite3")
    again.resume(replica)
    seen: dict[str, Any] = {
        "job_when_full": await again.model.read(queries.job, "job_000001") is not None,
        "source_when_full": await index.source("asset_1"),
        "batches_when_full": await _write_until_refused(again, 1000),
    }
    disks.free(folder)
    await again.write(a_job(500))
    seen["job_after"] = await again.model.read(queries.job, "job_000500") is not None
    seen["batches_until_full"] = await _write_until_refused(again, 10_000)
    seen["job_in_the_end"] = await again.model.read(queries.job, "job_000001") is not None
    again.model.close()
    index.close()
    return seen


def main(folder: Path) -> None:
    if not (disks.private_mounts() and disks.can_slow()):
        sys.stdout.write(json.dumps(None))
        return
    disks.mount(folder / "disk", _DISK_MB, image=folder / "image")
    try:
        sys.stdout.write(json.dumps(asyncio.run(_seen(folder / "disk"))))
    finally:
        disks.take_away(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Pause and resume of a queue -> frames for live clients, bounded however many jobs wait in the queue."""

import asyncio
import sqlite3

from schemas.jobs import Job
from web.live.hub import Hub
from web.readmodel import live_queries, queries
from web.readmodel.read_model import ReadModel
from web.readmodel.subscriptions import Subscription

#: Newest jobs that are sent again as `job` frames: one page of a list. All others depend on the `queue` frame.
_NEWEST = 50
#: Subscriptions to single jobs and assets whose jobs are sent again as `job` frames.
_NAMED = 500
#: Newest jobs of one asset that are checked for that: it may have 10,000.
_PER_ASSET = 1_000


async def publish_pause(model: ReadModel, hub: Hub, step: str, seq: int) -> None:
    """Send the frames of a pause or resume; `seq`: number of that change, the last one applied.

    Must be awaited before the next batch is applied, so that the rows read here are the ones that clients have.
    """
    if not len(hub):
        return
    hub.publish_switch(step)
    newest = {job.id: job for job in await model.read(queries.jobs_before_step, step, _NEWEST)}
    for job in newest.values():
        hub.publish_again(job, seq)
        await asyncio.sleep(0)
    for job in await model.read(_named, step, hub.named(_NAMED)):
        if job.id not in newest:
            hub.publish_to_named(job, seq)
            await asyncio.sleep(0)


def _named(db: sqlite3.Connection, step: str, subscription: Subscription) -> list[Job]:
    return [job for job in live_queries.named(db, subscription, _PER_ASSET) if _is_before_step(job, step)]


def _is_before_step(job: Job, name: str) -> bool:
    return any(step.spec.name == name and step.status in ("waiting", "delayed") for step in job.steps)

"""A queue was paused or resumed -> live clients see the jobs that it holds as they are shown now."""

import asyncio
import sqlite3

from schemas.jobs import Job
from web import queries
from web.hub import Hub
from web.read_model import ReadModel
from web.subscriptions import Subscription

#: Jobs whose whole view is sent again: about what a page lists. For all others, and there may be 100,000, the `queue`
#: frame says whether they are paused.
_NEWEST = 50
#: Jobs and assets, followed by their ids, whose whole view is sent again.
_NAMED = 500


async def publish_pause(model: ReadModel, hub: Hub, step: str, seq: int) -> None:
    """Send what the pause or resume of the step's queue changes; `seq`: number of that change, the last applied one.

    Called before the next batch is applied: the rows that are read are those that clients know.
    """
    if not len(hub):
        return
    hub.publish_pause(step)
    newest = {job.id: job for job in await model.read(queries.yet_to_start, step, _NEWEST)}
    for job in newest.values():
        hub.publish_again(job, seq)
        await asyncio.sleep(0)
    for job in await model.read(_named, step, hub.named(_NAMED)):
        if job.id not in newest:
            hub.publish_to_named(job, seq)
            await asyncio.sleep(0)


def _named(db: sqlite3.Connection, step: str, wanted: Subscription) -> list[Job]:
    return [job for job in queries.named(db, wanted) if _is_yet_to_start(job, step)]


def _is_yet_to_start(job: Job, name: str) -> bool:
    return any(step.spec.name == name and step.status in ("waiting", "delayed") for step in job.steps)

"""Forgets ended jobs that are too many or too old: by deletion, like anybody. Their assets stay.

Every replica looks; what two of them find, control forgets once.
"""

import asyncio
import logging
import random
import sqlite3
import sys

from schemas.commands import DeleteJob
from schemas.jobs import JOB_ENDED
from streams.settings import Retention
from tables.pipelines import Keeping
from web.http.problems import Problem
from web.readmodel import queries
from web.readmodel.queries import Rule
from web.services import Services

log = logging.getLogger("kinolog.web")

#: Jobs that are forgotten at a time.
_PIECE = 2_000
#: Longest wait for control to have forgotten them.
_SEEN_S = 30.0


class JobRetention:
    """Removes what is too old, by the log's time, or too many, once in a while."""

    def __init__(self, settings: Retention, keeping: Keeping, parts: Services) -> None:
        self._settings, self._keeping = settings, keeping
        self._model, self._position, self._commands = parts.model, parts.position, parts.commands
        self._clock = parts.clock

    async def run(self) -> None:
        """Work until cancelled."""
        await self._position.caught_up.wait()
        while True:
            await asyncio.sleep(self._settings.every_s * random.uniform(0.5, 1.5))  # noqa: S311  replicas take turns
            try:
                await self.round()
            except (Problem, sqlite3.Error) as error:
                log.warning("old jobs cannot be forgotten now", extra={"error": str(error)})

    async def round(self) -> int:
        """Forget all that is superfluous now, as far as one round goes; how many that was. Raises Problem (503)."""
        count, now = 0, self._clock.now()
        aged_left = self._settings.max_aged or sys.maxsize
        for pipeline, status in await self._model.read(queries.ended_groups):
            kept = rule(self._settings, self._keeping, pipeline, status)
            forgotten = await self._forget(kept, now, aged_left)
            count, aged_left = count + forgotten, max(aged_left - forgotten, 0)
        if count:
            log.info("old jobs forgotten", extra={"count": count})
        return count

    async def _forget(self, kept: Rule, now: float, aged_left: int) -> int:
        count = 0
        while found := await self._model.read(queries.superfluous, kept, now, max(aged_left - count, 0), _PIECE):
            orders = [
                DeleteJob(job_id=job_id, asset_id=asset_id, artifacts=False, requested_by="retention")
                for job_id, asset_id in found
            ]
            cursor = await self._commands.send(orders)
            count += len(found)
            # Otherwise the same ones would be found again.
            if not await self._position.until(lambda: self._position.has_applied("jobs", cursor), _SEEN_S):  # noqa: B023
                break
        return count


def rule(settings: Retention, keeping: Keeping, pipeline: str, status: str) -> Rule:
    """What is kept of a pipeline's jobs that ended so: what its file says, else the settings."""
    assert status in JOB_ENDED
    own = keeping.get(pipeline, {}).get(status)
    jobs = settings.jobs if own is None or own.jobs is None else own.jobs
    age_s = settings.age_s if own is None or own.age_s is None else own.age_s
    return Rule(pipeline, status, jobs, age_s)

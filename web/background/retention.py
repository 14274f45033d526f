"""Deletes ended jobs that are too old or too many, by command like any client. Their assets stay.

Every replica runs it; control deletes a job that two of them find only once.
"""

import asyncio
import logging
import random
import sqlite3
import sys

from schemas.commands import DeleteJob
from schemas.jobs import JOB_ENDED
from streams.settings.media import Retention
from tables.pipelines import RetentionRules
from web.http.problems import Problem
from web.readmodel import queries
from web.readmodel.queries import Rule
from web.services import Services

log = logging.getLogger("kinolog.web")

#: Jobs that are deleted at a time.
_BATCH = 2_000
#: Longest wait until control has deleted them.
_APPLIED_S = 30.0


class JobRetention:
    """Deletes ended jobs beyond their age, by the log's time, or their number, once in every interval."""

    def __init__(self, settings: Retention, rules: RetentionRules, parts: Services) -> None:
        self._settings, self._rules = settings, rules
        self._model, self._position, self._commands = parts.model, parts.position, parts.commands
        self._clock = parts.clock

    async def run(self) -> None:
        """Delete until cancelled."""
        await self._position.caught_up.wait()
        while True:
            await asyncio.sleep(self._settings.every_s * random.uniform(0.5, 1.5))  # noqa: S311  replicas run at different times
            try:
                await self.round()
            except (Problem, sqlite3.Error) as error:
                log.warning("job retention failed", extra={"error": str(error)})

    async def round(self) -> int:
        """Delete what is superfluous now, up to the limit of one round; the number of jobs. Raises Problem (503)."""
        count, now = 0, self._clock.now()
        aged_left = self._settings.max_aged or sys.maxsize
        for pipeline, status in await self._model.read(queries.ended_groups):
            kept = rule(self._settings, self._rules, pipeline, status)
            deleted = await self._delete(kept, now, aged_left)
            count, aged_left = count + deleted, max(aged_left - deleted, 0)
        if count:
            log.info("old jobs deleted", extra={"count": count})
        return count

    async def _delete(self, kept: Rule, now: float, aged_left: int) -> int:
        count = 0
        while batch := await self._model.read(queries.expired_jobs, kept, now, max(aged_left - count, 0), _BATCH):
            deletions = [
                DeleteJob(job_id=job_id, asset_id=asset_id, artifacts=False, requested_by="retention")
                for job_id, asset_id in batch
            ]
            cursor = await self._commands.send(deletions)
            count += len(batch)
            # Otherwise the next batch would have the same jobs.
            if not await self._position.until(lambda: self._position.has_applied("jobs", cursor), _APPLIED_S):  # noqa: B023
                break
        return count


def rule(settings: Retention, rules: RetentionRules, pipeline: str, status: str) -> Rule:
    """What is kept of a pipeline's jobs with that final status: limits of its file, else of the settings."""
    assert status in JOB_ENDED
    own = rules.get(pipeline, {}).get(status)
    jobs = settings.jobs if own is None or own.jobs is None else own.jobs
    age_s = settings.age_s if own is None or own.age_s is None else own.age_s
    return Rule(pipeline, status, jobs, age_s)

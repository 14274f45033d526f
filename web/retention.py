"""Forgets ended jobs that are too many or too old: by deletion, like anybody. Their assets stay.

Every replica looks; what two of them find, control forgets once.
"""

import asyncio
import logging
import random
import sqlite3
import time

from schemas.commands import DeleteJob
from schemas.jobs import JOB_ENDED
from streams.settings import Retention
from tables.pipelines import Keeping
from web import queries
from web.commands import Commands
from web.position import Position
from web.problems import Problem
from web.queries import Rule
from web.read_model import ReadModel

log = logging.getLogger("kinolog.web")

#: Jobs that are forgotten at a time.
_PIECE = 2_000
#: Longest wait for control to have forgotten them.
_SEEN_S = 30.0


class Janitor:
    """Looks again and again at what is there and what is kept."""

    def __init__(
        self, settings: Retention, keeping: Keeping, model: ReadModel, position: Position, commands: Commands
    ) -> None:
        self._settings, self._keeping = settings, keeping
        self._model, self._position, self._commands = model, position, commands

    async def run(self) -> None:
        """Look until cancelled."""
        await self._position.caught_up.wait()
        while True:
            await asyncio.sleep(self._settings.every_s * random.uniform(0.5, 1.5))  # noqa: S311  replicas take turns
            try:
                await self.forget(time.time())
            except (Problem, sqlite3.Error) as error:
                log.warning("old jobs cannot be forgotten now", extra={"error": str(error)})

    async def forget(self, now: float) -> int:
        """Forget all that is superfluous now; how many that was. Raises Problem (503)."""
        count = 0
        for pipeline, status in await self._model.read(queries.ended_groups):
            count += await self._forget(rule(self._settings, self._keeping, pipeline, status), now)
        if count:
            log.info("old jobs forgotten", extra={"count": count})
        return count

    async def _forget(self, kept: Rule, now: float) -> int:
        count = 0
        while found := await self._model.read(queries.superfluous, kept, now, _PIECE):
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

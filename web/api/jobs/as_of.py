"""`?as_of=TIME`: jobs and statistics at a past moment, folded from the facts on the log."""

import time
from typing import Annotated

import msgspec
from aiohttp import web

from schemas.jobs import Job
from web.api.common import AfterQuery
from web.http.problems import Problem, not_found
from web.readmodel.history import PastJob, PastState, as_row, fold
from web.readmodel.list_query import moment
from web.readmodel.queries import Counts
from web.services import Services


class AsOfQuery(AfterQuery, frozen=True, kw_only=True):
    """Query parameters of a read of the present or the past."""

    #: Moment in the past, ISO 8601 with a time zone; unset: now.
    as_of: Annotated[str, msgspec.Meta(max_length=40)] | None = None


def requested_moment(request: web.Request) -> float | None:
    """Parse `?as_of=`: seconds since the epoch, or None. Raises Problem (400)."""
    text = request.query.get("as_of")
    if text is None:
        return None
    at = moment("as_of", text)
    if at > time.time():
        raise Problem(400, "invalid-time", "as_of must not be in the future")
    return at


async def job_at(parts: Services, job: Job, at: float) -> Job:
    """Rebuild the job as it was at that moment. Raises Problem: 404 before its submission, 503."""
    past: PastJob | None = None
    for fact in await parts.events.of_job(job.asset_id, job.id, job.created_at, at):
        past = fold(past, fact)
    if past is None:
        raise not_found("job at that time")
    return as_row(past, job)


async def counts_at(parts: Services, owner: str | None, at: float) -> Counts:
    """Rebuild the counts at that moment, of one owner or of all (None). Raises Problem (503)."""
    world = PastState(owner)
    async for fact in parts.events.until(at):
        world.take(fact)
    return world.counts()

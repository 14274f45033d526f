"""`?as_of=TIME`: jobs and statistics at a past moment, folded from the facts on the log."""

from typing import Annotated

import msgspec
from aiohttp import web

from schemas.jobs import Job
from streams.kafka.envelope import iso_time
from web.api.common import AfterQuery
from web.api.log_reads import read_log
from web.http.disconnection import while_connected
from web.http.problems import Problem, not_found
from web.readmodel.list_query import moment
from web.readmodel.queries import Counts
from web.services import services
from web.timelines.event_log import JobHistory
from web.timelines.history import PastJob, as_row, before_first, fold
from web.timelines.past_counts import TooOld


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
    if at > services(request).clock.best():
        raise Problem(400, "invalid-time", "as_of must not be in the future")
    return at


async def job_at(request: web.Request, job: Job, at: float) -> Job:
    """Rebuild the job as it was at that moment. Raises Problem: 404 before its submission, 410, 429, 503."""
    events = services(request).events
    history = await read_log(request, lambda: events.of_job(job.asset_id, job.id, job.created_at, at))
    past = past_job(job, history)
    if past is not None:
        return as_row(past, job)
    if history.complete or at < job.created_at:
        raise not_found("job at that time")
    if job.updated_at <= at:
        return job
    raise Problem(410, "history-too-old", "the events of this job up to that moment are not kept")


def past_job(job: Job, history: JobHistory) -> PastJob | None:
    """The fold of a job's events; None before the first one."""
    past: PastJob | None = None
    if history.facts and not history.complete:
        past = before_first(job, history.facts[0])
    for fact in history.facts:
        past = fold(past, fact)
    return past


async def counts_at(request: web.Request, owner: str | None, at: float) -> Counts:
    """Rebuild the counts at that moment, of one owner or of all (None). Raises Problem (410, 503)."""
    try:
        return await while_connected(request, services(request).event_indexer.counts_at(at, owner))
    except TooOld as error:
        detail = f"counts are kept from {iso_time(error.from_ms / 1000)} on"
        raise Problem(410, "history-too-old", detail) from error

"""Deleting jobs and assets, and commands to many jobs at once: by filter, in pieces, with a count."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from aiohttp import web

from schemas.commands import DeleteAsset, DeleteJob, RetryJob
from schemas.jobs import JOB_ENDED, Job
from streams.kafka.envelope import iso_time
from web.api.common import answer, asset_of, job_of, json_body
from web.api.jobs.routes import JOBS
from web.auth.middleware import asking
from web.http.cursors import WriteCursor
from web.http.problems import Problem
from web.http.routing import Routes
from web.readmodel import queries
from web.readmodel.changelog import Changelog
from web.readmodel.commands import Command
from web.readmodel.list_query import Listing, parse
from web.services import Services, services
from web.views.models import Affected, Answer, DeletedAsset, Submitted

routes = Routes("Jobs")

T = TypeVar("T")

#: Jobs that are read and commanded at a time.
_PIECE = 2_000
#: Seconds that an answer waits for control, so that what is deleted is gone when the answer comes.
_SEEN_S = 5.0
_ENDED = ",".join(sorted(JOB_ENDED))


class ClearRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which ended jobs are forgotten."""

    #: How they ended; needed.
    status: Literal["completed", "failed", "cancelled", "all"] | None = None
    #: Only those that ended so many seconds ago or earlier.
    older_than_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    #: Only those of this pipeline.
    pipeline: str | None = None
    #: Whether what they published goes too; otherwise a READY asset stays as it is.
    artifacts: bool = False


class RetryRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which jobs are retried; the filters are those of the list, and at least one is needed."""

    #: "failed" where another filter is given alone.
    status: Literal["failed", "cancelled", "all"] | None = None
    pipeline: str | None = None
    asset_id: str | None = None
    #: "STEP", or "STEP:STATUS".
    step: str | None = None
    q: str | None = None
    created_after: str | None = None
    created_before: str | None = None


@routes.delete("/v1/jobs/{job_id}", answers={202: Answer[Submitted]}, problems=(404, 409, 503))
async def delete_job(request: web.Request) -> web.Response:
    """Delete a job that has ended, and what it published: 202; 409 while it waits or runs.

    It stays deleted. An asset whose last job it was goes with it.
    """
    parts, principal = services(request), asking(request)
    job = await job_of(request, principal, request.match_info["job_id"])
    if job.status not in JOB_ENDED:
        raise _running()
    order = DeleteJob(job_id=job.id, asset_id=job.asset_id, requested_by=principal.owner)
    cursor = await parts.commands.send([order])
    if await _seen(parts, cursor, "jobs", "assets") and await parts.model.read(queries.job, job.id) is not None:
        raise _running()  # it was retried meanwhile
    return answer(Submitted(job_id=job.id, asset_id=job.asset_id), status=202, cursor=cursor)


@routes.delete("/v1/assets/{asset_id}", answers={202: Answer[DeletedAsset]}, problems=(404, 409, 503))
async def delete_asset(request: web.Request) -> web.Response:
    """Delete an asset, its jobs and its files, the source included: 202; 409 while one of its jobs waits or runs."""
    parts, principal = services(request), asking(request)
    asset = await asset_of(request, principal, request.match_info["asset_id"])
    if await parts.model.read(queries.has_open_jobs, asset.id):
        raise _running()
    order = DeleteAsset(asset_id=asset.id, requested_at=time.time(), requested_by=principal.owner)
    cursor = await parts.commands.send([order])
    if await _seen(parts, cursor, "jobs", "assets") and await parts.model.read(queries.asset, asset.id) is not None:
        raise _running()
    return answer(DeletedAsset(asset_id=asset.id), status=202, cursor=cursor)


@routes.post("/v1/jobs/clear", body=ClearRequest, answers={202: Answer[Affected]}, problems=(400, 413, 415, 422, 503))
async def clear_jobs(request: web.Request) -> web.Response:
    """Forget ended jobs, and answer with how many. Their assets stay playable unless `artifacts` is set."""
    wanted: ClearRequest = await json_body(request, ClearRequest)
    status, principal = required("status", wanted.status), asking(request)
    query = {"status": _ENDED if status == "all" else status}
    if wanted.pipeline is not None:
        query["pipeline"] = wanted.pipeline
    if wanted.older_than_s is not None:
        now = services(request).clock.now()
        query["updated_before"] = iso_time(now - min(wanted.older_than_s, now))

    def order(job: Job) -> Command:
        return DeleteJob(job_id=job.id, asset_id=job.asset_id, artifacts=wanted.artifacts, requested_by=principal.owner)

    return await command_all(request, parse(query, JOBS, principal.scope), order)


@routes.post("/v1/jobs/retry", body=RetryRequest, answers={202: Answer[Affected]}, problems=(400, 413, 415, 422, 503))
async def retry_jobs(request: web.Request) -> web.Response:
    """Retry all failed or cancelled jobs that the filters find, and answer with how many."""
    wanted: RetryRequest = await json_body(request, RetryRequest)
    principal = asking(request)
    given: dict[str, Any] = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value}
    required(" or ".join(wanted.__struct_fields__), given or None)
    query = given | {"status": "cancelled,failed" if wanted.status == "all" else wanted.status or "failed"}

    def order(job: Job) -> Command:
        return RetryJob(job_id=job.id, asset_id=job.asset_id, run=job.run, requested_by=principal.owner)

    return await command_all(request, parse(query, JOBS, principal.scope), order)


def required(name: str, value: T | None) -> T:
    """What says which ones a command to many is for: an empty body means none of them. Raises Problem (422)."""
    if value is None:
        raise Problem(422, "filter-required", f"say which ones: give {name}; nothing was done")
    return value


async def command_all(request: web.Request, listing: Listing, order: Callable[[Job], Command]) -> web.Response:
    """Give each job of the listing its order, and answer with how many they were."""
    parts, count, offsets = services(request), 0, dict[int, int]()
    parts.commands.require_connection()
    async for jobs in _pieces(parts, listing):
        cursor = await parts.commands.send([order(job) for job in jobs])
        count += len(jobs)
        offsets |= cursor.offsets
    cursor = WriteCursor(parts.position.log or "", offsets)
    await _seen(parts, cursor, "jobs")
    return answer(Affected(count=count), status=202, cursor=cursor)


async def _pieces(parts: Services, listing: Listing) -> AsyncIterator[Sequence[Job]]:
    """What is there when its turn comes, each job once."""
    after = (-1.0, "")
    while jobs := await parts.model.read(queries.chosen, listing, after, _PIECE):
        after = (jobs[-1].created_at, jobs[-1].id)
        yield jobs


async def _seen(parts: Services, cursor: WriteCursor, *changelogs: Changelog) -> bool:
    """Whether the write is visible here within a while."""
    return await parts.position.until(
        lambda: all(parts.position.has_applied(changelog, cursor) for changelog in changelogs), _SEEN_S
    )


def _running() -> Problem:
    return Problem(409, "job-running", "only what has ended can be deleted: cancel it first, and wait for its end")

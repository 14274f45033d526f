"""Delete jobs and assets; clear, cancel or retry many jobs by filter, in batches."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Literal, TypeVar

import msgspec
from aiohttp import web

from schemas.commands import CancelJob, DeleteAsset, DeleteJob, RetryJob
from schemas.jobs import JOB_ENDED, Job
from streams.kafka.envelope import iso_time
from web.api.common import data_response, json_body, visible_asset, visible_job
from web.api.jobs import actions
from web.api.jobs.listing import JOBS
from web.api.jobs.routes import accepted
from web.auth.middleware import caller_of
from web.http.cursors import WriteCursor
from web.http.problems import Problem
from web.http.routing import Routes
from web.readmodel import queries
from web.readmodel.commands import Command
from web.readmodel.list_query import Condition, Listing, parse
from web.services import Services, services
from web.views.models import Affected, Answer, DeletedAsset, Submitted

routes = Routes("Jobs")

T = TypeVar("T")

#: Jobs that are read and commanded at a time.
_BATCH = 2_000
_ENDED, _OPEN = ",".join(sorted(JOB_ENDED)), "active,waiting"
#: Most ids in one request.
_MAX_IDS = 1_000
JobId = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern="^[^,]+$")]


def _of_ids(text: str) -> Condition:
    ids = text.split(",")
    return f"id IN ({', '.join('?' * len(ids))})", tuple(ids)


#: The list of jobs, filtered by ids, too.
_SELECTED = JOBS._replace(conditions={**JOBS.conditions, "ids": _of_ids})


class JobFilters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters as of the list; all must match."""

    #: Only these jobs.
    ids: Annotated[list[JobId], msgspec.Meta(min_length=1, max_length=_MAX_IDS)] | None = None
    pipeline: str | None = None
    asset_id: str | None = None
    owner: str | None = None
    #: "STEP", or "STEP:STATUS".
    step: str | None = None
    #: Only jobs that failed with this error code.
    error_code: str | None = None
    q: str | None = None
    created_after: str | None = None
    created_before: str | None = None

    def query(self) -> dict[str, str]:
        """The filters that are set, as parameters of the list."""
        names = JobFilters.__struct_fields__
        values = {name: value for name in names if (value := getattr(self, name))}
        return values | ({"ids": ",".join(self.ids)} if self.ids else {})


class CancelRequest(JobFilters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which jobs to cancel: at least one filter."""

    #: "all": waiting and active jobs, the default with another filter.
    status: Literal["waiting", "active", "all"] | None = None


class ClearRequest(JobFilters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which ended jobs to delete."""

    #: Final status; required.
    status: Literal["completed", "failed", "cancelled", "all"] | None = None
    #: Only jobs that ended at least this many seconds ago.
    older_than_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    #: Delete published files too; otherwise a READY asset keeps them.
    artifacts: bool = False


class RetryRequest(JobFilters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which jobs to retry: at least one filter."""

    #: Default with another filter: "failed". "completed": those that lack steps; "all": failed and cancelled.
    status: Literal["failed", "cancelled", "completed", "all"] | None = None


@routes.delete("/v1/jobs/{job_id}", responses={202: Answer[Submitted]}, problems=(404, 409, 503))
async def delete_job(request: web.Request) -> web.Response:
    """Delete a job that has ended, and what it published: 202; 409 while it waits or runs.

    It cannot be restored. An asset is deleted with its last job.
    """
    principal = caller_of(request)
    job = await visible_job(request, principal, request.match_info["job_id"])
    return accepted(job, await actions.delete(services(request), principal, job))


@routes.delete("/v1/assets/{asset_id}", responses={202: Answer[DeletedAsset]}, problems=(404, 409, 503))
async def delete_asset(request: web.Request) -> web.Response:
    """Delete an asset, its jobs and its files, the source included: 202; 409 while one of its jobs waits or runs."""
    parts, principal = services(request), caller_of(request)
    asset = await visible_asset(request, principal, request.match_info["asset_id"])
    if await parts.model.read(queries.has_open_jobs, asset.id):
        raise actions.still_running()
    command = DeleteAsset(asset_id=asset.id, requested_at=parts.clock.best(), requested_by=principal.owner)
    cursor = await parts.commands.send([command])
    if (
        await actions.applied(parts, cursor, "jobs", "assets")
        and await parts.model.read(queries.asset, asset.id) is not None
    ):
        raise actions.still_running()
    return data_response(DeletedAsset(asset_id=asset.id), status=202, cursor=cursor)


@routes.post("/v1/jobs/clear", body=ClearRequest, responses={202: Answer[Affected]}, problems=(400, 413, 415, 422, 503))
async def clear_jobs(request: web.Request) -> web.Response:
    """Delete ended jobs; the response has their number. Their assets stay playable unless `artifacts` is set."""
    body: ClearRequest = await json_body(request, ClearRequest)
    status, principal = required("status", body.status), caller_of(request)
    query = body.query() | {"status": _ENDED if status == "all" else status}
    if body.older_than_s is not None:
        now = services(request).clock.now()
        query["updated_before"] = iso_time(now - min(body.older_than_s, now))

    def command_for(job: Job) -> Command:
        return DeleteJob(job_id=job.id, asset_id=job.asset_id, artifacts=body.artifacts, requested_by=principal.owner)

    return await command_all(request, parse(query, _SELECTED, principal.scope), command_for)


@routes.post(
    "/v1/jobs/cancel", body=CancelRequest, responses={202: Answer[Affected]}, problems=(400, 413, 415, 422, 503)
)
async def cancel_jobs(request: web.Request) -> web.Response:
    """Cancel all jobs that match the filters and have not ended; the response has their number."""
    body: CancelRequest = await json_body(request, CancelRequest)
    principal, filters = caller_of(request), body.query()
    required(" or ".join(body.__struct_fields__), body.status or filters or None)
    status = _OPEN if body.status in (None, "all") else str(body.status)

    def command_for(job: Job) -> Command | None:
        if job.cancelling:
            return None
        return CancelJob(job_id=job.id, asset_id=job.asset_id, requested_by=principal.owner)

    return await command_all(request, parse(filters | {"status": status}, _SELECTED, principal.scope), command_for)


@routes.post("/v1/jobs/retry", body=RetryRequest, responses={202: Answer[Affected]}, problems=(400, 413, 415, 422, 503))
async def retry_jobs(request: web.Request) -> web.Response:
    """Retry all jobs that match the filters and can be retried; the response has their number."""
    body: RetryRequest = await json_body(request, RetryRequest)
    principal = caller_of(request)
    filters = body.query()
    required(" or ".join(body.__struct_fields__), body.status or filters or None)
    query = filters | {"status": "cancelled,failed" if body.status == "all" else body.status or "failed"}

    def command_for(job: Job) -> Command | None:
        if not actions.can_retry(job):
            return None
        return RetryJob(job_id=job.id, asset_id=job.asset_id, run=job.run, requested_by=principal.owner)

    return await command_all(request, parse(query, _SELECTED, principal.scope), command_for)


def required(name: str, value: T | None) -> T:
    """Return the filter of a command to many jobs. Raises Problem (422) without one: an empty body selects none."""
    if value is None:
        raise Problem(422, "filter-required", f"a filter is required, nothing was changed: set {name}")
    return value


async def command_all(
    request: web.Request, listing: Listing, command_for: Callable[[Job], Command | None]
) -> web.Response:
    """Send a command to each job of the listing that has one; respond with the number of commands."""
    parts, count, cursors = services(request), 0, list[WriteCursor]()
    parts.commands.require_connection()
    async for jobs in _batches(parts, listing):
        commands = [command for job in jobs if (command := command_for(job)) is not None]
        if commands:
            cursors.append(await parts.commands.send(commands))
        count += len(commands)
    cursor = WriteCursor.merge(parts.position.log or "", cursors)
    await actions.applied(parts, cursor, "jobs")
    return data_response(Affected(count=count), status=202, cursor=cursor)


async def _batches(parts: Services, listing: Listing) -> AsyncIterator[Sequence[Job]]:
    """Jobs of the listing, each once; a job that leaves it before its batch is read is left out."""
    after = (-1.0, "")
    while jobs := await parts.model.read(queries.matching_jobs, listing, after, _BATCH):
        after = (jobs[-1].created_at, jobs[-1].id)
        yield jobs

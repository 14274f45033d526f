"""/api/v1/studio/processing-jobs: the studio's list of jobs."""

from typing import Any, NamedTuple

import msgspec
import orjson
from aiohttp import web

from schemas.jobs import JOB_ENDED, Job
from streams.kafka.envelope import iso_time
from web.api.common import json_response, visible_job
from web.api.jobs import actions, bulk
from web.api.jobs.listing import JOBS
from web.api.paging import page_rows
from web.api.stats import stats, steps_by_status
from web.auth.middleware import caller_of
from web.compat.studio_views import Detail, Done, One, QueueInfo, Record, Records
from web.http.cursors import PageCursor, dump
from web.http.problems import Problem
from web.http.routing import Routes
from web.readmodel import queries
from web.readmodel.changelog import job_rows
from web.readmodel.job_groups import STEP_STATUSES
from web.readmodel.job_progress import job_progress
from web.readmodel.list_query import DEFAULT_LIMIT, parse
from web.services import Services, services
from web.views.build import current_step, whole_percent

routes = Routes("Replaced: studio")

_PATH = "/api/v1/studio/processing-jobs"
#: Jobs that are read for one page of a type: it is part of the passthrough, which has no index.
_MOST_READ = 20_000
_BATCH = 500


class StudioQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Query parameters of the list."""

    #: waiting, active, completed, failed or cancelled; several separated by commas.
    status: str | None = None
    #: film or episode.
    type: str | None = None
    #: Maximum number of jobs, 1-500.
    limit: str | None = None
    #: nextCursor of the previous page.
    cursor: str | None = None


@routes.get(_PATH, query=StudioQuery, responses={200: Records}, problems=(400,))
async def list_studio_jobs(request: web.Request) -> web.Response:
    """List jobs with statistics, the newest first."""
    kind = request.query.get("type")
    if kind not in (None, "film", "episode"):
        raise Problem(400, "invalid-parameter", "type must be film or episode")
    parts, scope = services(request), caller_of(request).scope
    limit = parse({"limit": request.query.get("limit", str(DEFAULT_LIMIT))}, JOBS, scope).limit
    query = {name: request.query[name] for name in ("status", "cursor") if name in request.query}
    jobs, following = await _page(parts, Search(query, scope, kind, limit))
    return json_response(
        Records(
            data=[_record(request, job) for job in jobs],
            statistics=await _statistics(request, scope),
            next_cursor=following,
        )
    )


class Search(NamedTuple):
    """A search for a page of jobs of one kind."""

    #: status and cursor, as of the list.
    query: dict[str, str]
    #: Owner whose jobs are searched; None: all owners.
    scope: str | None
    #: film or episode; None: both.
    kind: str | None
    limit: int


async def _page(parts: Services, search: Search) -> tuple[list[Job], str | None]:
    """Read jobs in batches until the page is full; also the cursor of the next page."""
    jobs: list[Job] = []
    cursor = search.query.get("cursor")
    for _ in range(_MOST_READ // _BATCH):
        query = {**search.query, "limit": str(_BATCH), **({"cursor": cursor} if cursor else {})}
        rows = await parts.model.read(page_rows, parse(query, JOBS, search.scope))
        for count, (_, _, row) in enumerate(rows[:_BATCH], 1):
            job = job_rows.decode(row)
            cursor = dump(PageCursor("-created_at", job.created_at, job.id))
            if search.kind in (None, _resource(job)["type"]):
                jobs.append(job)
            if len(jobs) == search.limit:
                return jobs, cursor if count < len(rows) else None
        if len(rows) <= _BATCH:
            return jobs, None
    return jobs, cursor


@routes.get(f"{_PATH}/{{job_id}}", responses={200: One}, problems=(404,))
async def show_studio_job(request: web.Request) -> web.Response:
    """Show a job."""
    job = await _job(request)
    fields = msgspec.structs.asdict(_record(request, job))
    return json_response(One(data=Detail(**fields, queue=await _queue(request, job))))


@routes.post(f"{_PATH}/{{job_id}}/cancel", responses={202: Done}, problems=(404, 409))
async def cancel_studio_job(request: web.Request) -> web.Response:
    """Cancel a job."""
    job, principal = await _job(request), caller_of(request)
    await actions.cancel(services(request), principal, job)
    return json_response(Done(job_id=job.id), status=202)


@routes.post(f"{_PATH}/{{job_id}}/retry", responses={202: Done}, problems=(404, 409))
async def retry_studio_job(request: web.Request) -> web.Response:
    """Resume a job that failed, was cancelled, or completed without some steps."""
    job, principal = await _job(request), caller_of(request)
    await actions.retry(services(request), principal, job)
    return json_response(Done(job_id=job.id), status=202)


@routes.delete(f"{_PATH}/{{job_id}}", responses={202: Done}, problems=(404, 409))
async def delete_studio_job(request: web.Request) -> web.Response:
    """Delete a job that has ended."""
    job, principal = await _job(request), caller_of(request)
    await actions.delete(services(request), principal, job)
    return json_response(Done(job_id=job.id), status=202)


@routes.post(f"{_PATH}/clear", body=bulk.ClearRequest, responses={202: dict[str, Any]}, problems=(400, 415, 422))
async def clear_studio_jobs(request: web.Request) -> web.StreamResponse:
    """Delete ended jobs; request and response are those of `POST /v1/jobs/clear`."""
    return await bulk.clear_jobs(request)


async def _job(request: web.Request) -> Job:
    return await visible_job(request, caller_of(request), request.match_info["job_id"])


async def _queue(request: web.Request, job: Job) -> QueueInfo:
    parts, name = services(request), current_step(job) or (job.steps[-1].spec.name if job.steps else job.pipeline)
    counted = steps_by_status(await parts.model.read(queries.counts, caller_of(request).scope))
    counts = counted.get(name, dict.fromkeys(STEP_STATUSES, 0))  # a refused job has no steps, and so no queue
    overlay = parts.progress.overlay(job)
    return QueueInfo(
        queue_name=name,
        is_paused=name in parts.progress.queues.paused,
        position=overlay.positions.get(name),
        **{status: counts[status] for status in ("waiting", "active", "delayed", "completed", "failed")},
    )


async def _statistics(request: web.Request, scope: str | None) -> dict[str, int]:
    counts = await services(request).model.read(queries.counts, scope)
    by_status = stats(counts, ()).jobs
    return {"total": sum(by_status.values()), **by_status}


def _record(request: web.Request, job: Job) -> Record:
    resource, live = _resource(job), services(request).progress.live(job.id, job.run)
    ended = None if job.finished_at is None else iso_time(job.finished_at)
    return Record(
        id=job.id,
        job_id=job.id,
        queue_name=current_step(job) or job.pipeline,
        status=job.status,
        progress=whole_percent(job_progress(job, live)),
        type=resource["type"],
        resource_id=resource["resourceId"],
        resource_name=resource["resourceName"],
        file_name=job.filename,
        can_cancel=job.status not in JOB_ENDED and not job.cancelling,
        cancelled_at=ended if job.status == "cancelled" else None,
        failed_reason=job.error.message if job.error else None,
        created_at=iso_time(job.created_at),
        updated_at=iso_time(job.updated_at),
        completed_at=ended if job.status == "completed" else None,
    )


def _resource(job: Job) -> dict[str, Any]:
    """The resource in the passthrough; without one, a film with the asset's id."""
    try:
        resource = orjson.loads(job.passthrough or "{}")
    except orjson.JSONDecodeError:
        resource = {}
    resource = resource if isinstance(resource, dict) else {}
    name = resource.get("resourceName")
    return {
        "type": resource.get("type") if resource.get("type") in ("film", "episode") else "film",
        "resourceId": str(resource.get("resourceId") or job.asset_id),
        "resourceName": str(name) if name else job.filename,
    }

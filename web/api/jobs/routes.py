"""/v1/jobs: list, show, cancel and retry jobs."""

from aiohttp import web

from schemas.jobs import Job
from web.api.common import data_response, visible_job, wait_for_cursor
from web.api.jobs import actions
from web.api.jobs.as_of import AsOfQuery, job_at, requested_moment
from web.api.jobs.listing import JOBS, JobsQuery, live_view, require_known_pipeline, row_view
from web.api.paging import page
from web.auth.middleware import caller_of
from web.http.cursors import WriteCursor
from web.http.routing import Routes
from web.readmodel.list_query import parse
from web.services import services
from web.views.build import job_view
from web.views.models import Answer, JobView, Page, Submitted

routes = Routes("Jobs")


@routes.get("/v1/jobs", query=JobsQuery, responses={200: Page[JobView]}, problems=(400, 503))
async def list_jobs(request: web.Request) -> web.Response:
    """List jobs, the newest first by default."""
    listing, parts = parse(request.query, JOBS, caller_of(request).scope), services(request)
    await wait_for_cursor(request, "jobs")
    await require_known_pipeline(parts, listing, caller_of(request).scope)
    return await page(request, listing, lambda row: row_view(row, parts))


@routes.get(
    "/v1/jobs/{job_id}",
    query=AsOfQuery,
    responses={200: Answer[JobView]},
    problems=(400, 404, 410, 429, 503),
    etag=True,
)
async def show_job(request: web.Request) -> web.Response:
    """Show a job; with `as_of`, as it was at that moment."""
    at = requested_moment(request)
    job = await visible_job(request, caller_of(request), request.match_info["job_id"])
    if at is not None:
        return data_response(job_view(await job_at(request, job, at)))
    return data_response(live_view(job, services(request).progress))


@routes.post("/v1/jobs/{job_id}/cancel", responses={202: Answer[Submitted]}, problems=(404, 409, 503))
async def cancel_job(request: web.Request) -> web.Response:
    """Cancel a job: 202; 409 when it has ended or is already being cancelled."""
    principal = caller_of(request)
    job = await visible_job(request, principal, request.match_info["job_id"])
    return accepted(job, await actions.cancel(services(request), principal, job))


@routes.post("/v1/jobs/{job_id}/retry", responses={202: Answer[Submitted]}, problems=(404, 409, 503))
async def retry_job(request: web.Request) -> web.Response:
    """Resume a job that failed, was cancelled, or completed without some steps: 202; 409 for any other.

    Completed steps are kept, and an asset that is READY stays so.
    """
    principal = caller_of(request)
    job = await visible_job(request, principal, request.match_info["job_id"])
    return accepted(job, await actions.retry(services(request), principal, job))


def accepted(job: Job, cursor: WriteCursor) -> web.Response:
    """202 for a command to one job."""
    return data_response(Submitted(job_id=job.id, asset_id=job.asset_id), status=202, cursor=cursor)

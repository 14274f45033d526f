"""/v1/jobs/counts and /v1/jobs/failures: numbers of the jobs that match a filter, and failed jobs by error code."""

from aiohttp import web

from streams.kafka.envelope import iso_time
from web.api.common import data_response, wait_for_cursor
from web.api.jobs.listing import JOBS, JobsQuery, require_known_pipeline
from web.auth.middleware import caller_of
from web.http.routing import Routes
from web.readmodel import queries
from web.readmodel.list_query import parse
from web.services import services
from web.views.models import Answer, FailureView, JobCounts

routes = Routes("Jobs")

#: Most error codes that are listed.
_MOST_CODES = 50


@routes.get("/v1/jobs/counts", query=JobsQuery, responses={200: Answer[JobCounts]}, problems=(400, 503))
async def count_jobs(request: web.Request) -> web.Response:
    """Count the jobs that match the list's filters, by status."""
    scope, parts = caller_of(request).scope, services(request)
    listing = parse(request.query, JOBS, scope)
    await wait_for_cursor(request, "jobs")
    await require_known_pipeline(parts, listing, scope)
    counts = await parts.model.read(queries.count_by_status, listing)
    return data_response(JobCounts(jobs=dict.fromkeys(sorted(JOBS.statuses), 0) | counts))


@routes.get("/v1/jobs/failures", responses={200: Answer[list[FailureView]]}, problems=(503,))
async def list_failures(request: web.Request) -> web.Response:
    """Group failed jobs by error code, the most frequent first; at most 50 codes."""
    groups = await services(request).model.read(queries.failures, caller_of(request).scope, _MOST_CODES)
    return data_response([_view(group) for group in groups])


def _view(group: queries.FailureGroup) -> FailureView:
    job = group.newest
    return FailureView(
        code=group.code,
        jobs=group.jobs,
        message=job.error.message if job.error is not None else "",
        job_id=job.id,
        created_at=iso_time(job.created_at),
    )

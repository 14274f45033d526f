"""/v1/jobs: the list, one of them, cancel and retry."""

from typing import get_args

from aiohttp import web

from schemas.commands import CancelJob, RetryJob
from schemas.jobs import JOB_ENDED, Job, JobStatus
from schemas.steps import step_kinds
from web.api.common import answer, job_of, settled
from web.api.jobs.as_of import AsOfQuery, asked_moment, job_at
from web.api.paging import page
from web.auth.middleware import asking
from web.http.problems import Problem
from web.http.routing import Routes
from web.live.progress import Progress
from web.readmodel import queries
from web.readmodel.changelog import job_rows
from web.readmodel.commands import Command
from web.readmodel.job_groups import STEP_STATUSES
from web.readmodel.list_query import SORTS, Listing, ListQuery, ListSpec, Part, parse
from web.services import Services, services
from web.views.build import job_view
from web.views.models import Answer, JobView, Page, Submitted


def _of_step(text: str) -> Part:
    """`STEP`, or `STEP:STATUS`. Raises Problem (400)."""
    step, colon, status = text.partition(":")
    if step not in step_kinds():
        raise Problem(400, "invalid-step", f"there is no step {step[:50]!r}; there are {', '.join(step_kinds())}")
    if colon and status not in STEP_STATUSES:
        known = ", ".join(STEP_STATUSES)
        raise Problem(400, "invalid-step", f"a step is never {status[:50]!r}; it is one of {known}")
    return ("instr(states, ?) > 0", (f" {step}={status} " if colon else f" {step}=",))


JOBS = ListSpec(
    "jobs",
    frozenset(get_args(JobStatus)),
    frozenset({"pipeline", "asset_id", "owner"}),
    SORTS | {"duration": "duration_s", "duration_s": "duration_s", "progress": "progress"},
    narrow="jobs_narrow",
    few={"asset_id": "jobs_asset"},
    grouped=frozenset({"status", "pipeline", "owner", "step", "scope"}),
    further={"step": _of_step},
)

routes = Routes("Jobs")


class JobsQuery(ListQuery, frozen=True, kw_only=True):
    """What a list of jobs can be asked for."""

    #: Only jobs in one of these states, separated by commas: waiting, active, completed, failed, cancelled.
    status: str | None = None
    #: Only jobs of this pipeline.
    pipeline: str | None = None
    #: Only jobs of this asset.
    asset_id: str | None = None
    #: Only jobs that have this step; "STEP:STATUS": only those where it is in that state, e.g. "transcode:queued".
    step: str | None = None
    #: Only jobs of this owner; others than admins see their own anyway.
    owner: str | None = None


@routes.get("/v1/jobs", query=JobsQuery, answers={200: Page[JobView]}, problems=(400, 503))
async def list_jobs(request: web.Request) -> web.Response:
    """A page of jobs, the newest first unless asked otherwise."""
    listing, parts = parse(request.query, JOBS, asking(request).scope), services(request)
    await settled(request, "jobs")
    await require_known_pipeline(parts, listing)
    return await page(request, listing, lambda row: shown(job_rows.decode(row), parts.progress))


@routes.get("/v1/jobs/{job_id}", query=AsOfQuery, answers={200: Answer[JobView]}, problems=(400, 404, 503), etag=True)
async def show_job(request: web.Request) -> web.Response:
    """One job; with `as_of`, as it was at that moment."""
    at = asked_moment(request)
    job = await job_of(request, asking(request), request.match_info["job_id"])
    if at is not None:
        return answer(job_view(await job_at(services(request), job, at)))
    return answer(shown(job, services(request).progress))


@routes.post("/v1/jobs/{job_id}/cancel", answers={202: Answer[Submitted]}, problems=(404, 409, 503))
async def cancel_job(request: web.Request) -> web.Response:
    """Ask for the job's end: 202; 409 when it has ended or was asked before."""
    principal = asking(request)
    job = await job_of(request, principal, request.match_info["job_id"])
    if job.status in JOB_ENDED:
        raise Problem(409, "job-ended", f"the job is {job.status} already")
    if job.cancelling:
        raise Problem(409, "already-cancelling", "the job is being cancelled already")
    return await _command(request, job, CancelJob(job_id=job.id, asset_id=job.asset_id, requested_by=principal.owner))


@routes.post("/v1/jobs/{job_id}/retry", answers={202: Answer[Submitted]}, problems=(404, 409, 503))
async def retry_job(request: web.Request) -> web.Response:
    """Resume a failed or cancelled job: 202; 409 in any other state."""
    principal = asking(request)
    job = await job_of(request, principal, request.match_info["job_id"])
    if job.status not in ("failed", "cancelled"):
        raise Problem(409, "not-retryable", f"the job is {job.status}: only a failed or cancelled one can be retried")
    return await _command(
        request, job, RetryJob(job_id=job.id, asset_id=job.asset_id, run=job.run, requested_by=principal.owner)
    )


async def _command(request: web.Request, job: Job, command: Command) -> web.Response:
    cursor = await services(request).commands.send([command])
    return answer(Submitted(job_id=job.id, asset_id=job.asset_id), status=202, cursor=cursor)


async def require_known_pipeline(parts: Services, listing: Listing) -> None:
    """Refuse the name of a pipeline that neither exists nor ever had a job. Raises Problem (400)."""
    name = listing.equals.get("pipeline")
    if name is not None and name not in parts.pipelines and not await parts.model.read(queries.has_pipeline, name):
        raise Problem(
            400, "invalid-pipeline", f"there is no pipeline {name[:50]!r}; there are {', '.join(parts.pipelines)}"
        )


def shown(job: Job, progress: Progress) -> JobView:
    """The job as it is now."""
    return job_view(job, beside=progress.beside(job))

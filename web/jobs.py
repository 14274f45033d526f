"""/v1/jobs: the list, one of them, cancel and retry."""

from typing import get_args

from aiohttp import web

from schemas.commands import CancelJob, RetryJob
from schemas.jobs import JOB_ENDED, Job, JobStatus
from web import queries
from web.auth import reader, writer
from web.changelog import job_rows
from web.commands import Command
from web.listing import Kind, Listing, parse
from web.lists import page
from web.problems import Problem
from web.progress import Progress
from web.reading import answer, job_of, settled
from web.services import Services, services
from web.views import Shown, job_view

JOBS = Kind("jobs", frozenset(get_args(JobStatus)), frozenset({"pipeline", "asset_id"}))


def add_routes(app: web.Application) -> None:
    """The routes of this noun."""
    app.router.add_get("/v1/jobs", list_jobs)
    app.router.add_get("/v1/jobs/{job_id}", show_job)
    app.router.add_post("/v1/jobs/{job_id}/cancel", cancel_job)
    app.router.add_post("/v1/jobs/{job_id}/retry", retry_job)


async def list_jobs(request: web.Request) -> web.Response:
    """A page of jobs, the newest first unless asked otherwise."""
    listing, parts = parse(request.query, JOBS, reader(request).scope), services(request)
    await settled(request, "jobs")
    await _require_known_pipeline(parts, listing)
    return await page(request, listing, lambda row: _shown(job_rows.decode(row), parts.progress))


async def show_job(request: web.Request) -> web.Response:
    """One job."""
    job = await job_of(request, reader(request), request.match_info["job_id"])
    return answer(_shown(job, services(request).progress))


async def cancel_job(request: web.Request) -> web.Response:
    """Ask for the job's end: 202; 409 when it has ended or was asked before."""
    principal = writer(request)
    job = await job_of(request, principal, request.match_info["job_id"])
    if job.status in JOB_ENDED:
        raise Problem(409, "job-ended", f"the job is {job.status} already")
    if job.cancelling:
        raise Problem(409, "already-cancelling", "the job is being cancelled already")
    return await _command(request, job, CancelJob(job_id=job.id, asset_id=job.asset_id, requested_by=principal.owner))


async def retry_job(request: web.Request) -> web.Response:
    """Resume a failed or cancelled job: 202; 409 in any other state."""
    principal = writer(request)
    job = await job_of(request, principal, request.match_info["job_id"])
    if job.status not in ("failed", "cancelled"):
        raise Problem(409, "not-retryable", f"the job is {job.status}: only a failed or cancelled one can be retried")
    return await _command(
        request, job, RetryJob(job_id=job.id, asset_id=job.asset_id, run=job.run, requested_by=principal.owner)
    )


async def _command(request: web.Request, job: Job, command: Command) -> web.Response:
    cursor = await services(request).commands.send([command])
    return answer({"job_id": job.id, "asset_id": job.asset_id}, status=202, cursor=cursor)


async def _require_known_pipeline(parts: Services, listing: Listing) -> None:
    name = listing.equals.get("pipeline")
    if name is not None and name not in parts.pipelines and not await parts.model.read(queries.has_pipeline, name):
        raise Problem(
            400, "invalid-pipeline", f"there is no pipeline {name[:50]!r}; there are {', '.join(parts.pipelines)}"
        )


def _shown(job: Job, progress: Progress) -> Shown:
    return job_view(job, progress.live(job.id, job.run))

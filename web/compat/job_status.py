"""GET /api/jobs/{id}/status: the envelope of `getJobStatus`."""

import time
from typing import Any, Literal

from aiohttp import web
from msgspec import UNSET, UnsetType

from schemas.jobs import Job, JobStatus
from streams.kafka.envelope import iso_time
from web.api.common import base_url, json_response, visible_job
from web.auth.middleware import caller_of
from web.http.problems import REQUEST_ID, Problem
from web.http.routing import Routes
from web.readmodel.job_progress import job_progress
from web.services import Services, services
from web.views.build import media_url, result_key, whole_percent
from web.views.models import Time, View

routes = Routes("Replaced: job status")

#: Validity of the result's URL, seconds.
_TTL_S = 3600


class State(View, frozen=True, kw_only=True, rename="camel"):
    """A job."""

    id: str
    state: JobStatus
    #: 0-100.
    progress: int
    #: Once the job has completed: `url`, the signed URL of what it was for, and the published outputs by step.
    result: dict[str, Any] | None
    error: str | None
    created_at: Time
    processed_at: Time | None
    completed_at: Time | None


class Meta(View, frozen=True, kw_only=True, rename="camel"):
    """Metadata of the response."""

    request_id: str
    timestamp: Time
    operation: Literal["job.status.get"] = "job.status.get"


class Failure(View, frozen=True, kw_only=True):
    """Why there is no data."""

    code: Literal["JOB_NOT_FOUND"] = "JOB_NOT_FOUND"
    message: str


class Envelope(View, frozen=True, kw_only=True):
    """Either data or an error."""

    success: bool
    data: State | UnsetType = UNSET
    error: Failure | UnsetType = UNSET
    meta: Meta


@routes.get("/api/jobs/{job_id}/status", responses={200: Envelope, 404: Envelope})
async def get_job_status(request: web.Request) -> web.Response:
    """Show the status of a job, in an envelope."""
    meta = Meta(request_id=request.get(REQUEST_ID, ""), timestamp=iso_time(time.time()))
    try:
        job = await visible_job(request, caller_of(request), request.match_info["job_id"])
    except Problem as problem:
        if problem.status != 404:
            raise
        return json_response(Envelope(success=False, error=Failure(message="job not found"), meta=meta), status=404)
    return json_response(Envelope(success=True, data=_state(job, services(request), base_url(request)), meta=meta))


def _state(job: Job, parts: Services, base: str) -> State:
    signed = base + parts.signer.prefix(job.asset_id, parts.signer.expiry(_TTL_S))
    outputs = {step.spec.name: step.outputs for step in job.steps if step.outputs is not None}
    result = {"url": media_url(job.asset_id, result_key(job), signed), **outputs}
    return State(
        id=job.id,
        state=job.status,
        progress=whole_percent(job_progress(job, parts.progress.live(job.id, job.run))),
        result=result if job.status == "completed" else None,
        error=job.error.message if job.error else None,
        created_at=iso_time(job.created_at),
        processed_at=None if job.started_at is None else iso_time(job.started_at),
        completed_at=None if job.finished_at is None else iso_time(job.finished_at),
    )

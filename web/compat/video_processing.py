"""/api/video-processing: jobs on a content system's attachments, and steps that a scheduler starts, signed."""

from typing import Any

import msgspec
from aiohttp import web

from schemas.jobs import JOB_ENDED, Input, Job
from schemas.uploads import UploadCompleted
from streams.ids import derived_id, new_id, without_namespace
from streams.kafka.envelope import iso_time
from web.api.asset_ids import submitted_asset_id
from web.api.common import json_body, json_response, read_body, visible_job
from web.api.jobs import actions
from web.api.jobs.listing import JOBS
from web.api.paging import page_rows
from web.api.stats import stats
from web.api.uploads.submissions import (
    SubmissionIds,
    fingerprint,
    require_acceptable,
    require_own_sources,
    submission_ids,
    submit,
    submit_command,
)
from web.auth.middleware import caller_of
from web.auth.principal import Principal
from web.compat.signature import invalid_signature, signed_call
from web.compat.video_processing_views import STATUSES, Item, Queue, Queued, Removed, StepDetail
from web.http.cursors import PageCursor, dump
from web.http.problems import Problem, not_found
from web.http.routing import Routes
from web.readmodel import queries
from web.readmodel.changelog import job_rows
from web.readmodel.job_progress import job_progress, step_progress
from web.readmodel.list_query import parse
from web.services import services
from web.views.build import current_step, whole_percent

routes = Routes("Replaced: video processing")

_QUEUE_ITEMS = 100
_STEPS = ("compress", "audio-convert", "transcribe", "embed")


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment to process."""

    #: Id in the content system; the media's key in the store is made from KINOLOG_COMPAT__ATTACHMENT_OBJECT.
    attachment_id: int | str
    #: Key in the store, if it is another.
    object: str | None = None
    filename: str | None = None


class QueueQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Query parameters of the queue."""

    #: pending, processing, completed, failed or cancelled; several separated by commas. Unset: all.
    status: str | None = None
    #: Maximum number of jobs, 1-500; 100 by default.
    limit: str | None = None
    #: next_cursor of the previous page.
    cursor: str | None = None


@routes.post(
    "/api/video-processing/upload",
    body=Attachment,
    responses={202: Queued},
    problems=(400, 404, 409, 410, 413, 415, 422, 503),
    idempotent=True,
)
async def queue_attachment(request: web.Request) -> web.Response:
    """Start the default pipeline on an attachment."""
    principal, body = caller_of(request), await json_body(request, Attachment)
    return await _start(request, principal, body, None, submission_ids(request, principal))


@routes.post(
    "/api/video-processing/steps/{step}",
    access="signed",
    body=Attachment,
    responses={202: Queued},
    problems=(400, 401, 404, 409, 410, 413, 415, 422, 503),
)
async def run_step(request: web.Request) -> web.Response:
    """Start one step's pipeline on an attachment: compress, audio-convert, transcribe or embed; signed."""
    parts = services(request)
    compat = parts.settings.compat
    await read_body(request)  # within its time; what is read is kept
    call = await signed_call(request, (compat.signing_key, compat.next_signing_key), parts.clock.best())
    if call.token_id is not None and not await parts.signed_calls.claim(call.token_id, call.message_id):
        raise invalid_signature()
    step = request.match_info["step"]
    if step not in _STEPS:
        raise not_found("step")
    caller = Principal(compat.owner, "editor" if compat.owner else "admin", token_id="signature")  # noqa: S106  a name
    new_ids = SubmissionIds(new_id("asset"), derived_id("job", "scheduler", compat.owner or "", call.message_id), True)
    body: Attachment = await json_body(request, Attachment)
    return await _start(request, caller, body, compat.step_pipelines.get(step, step), new_ids)


async def _start(
    request: web.Request, principal: Principal, body: Attachment, pipeline: str | None, new_ids: SubmissionIds
) -> web.Response:
    parts, attachment = services(request), str(body.attachment_id)
    key = body.object or parts.settings.compat.attachment_object.replace("{id}", attachment)
    upload = UploadCompleted(
        asset_id=await submitted_asset_id(parts, principal, f"attachment-{attachment}"),
        input=Input(object=key),
        filename=body.filename,
        pipeline=pipeline,
        owner=principal.owner,
    )
    submitted = submit_command(parts, upload, new_ids, fingerprint("attachment", msgspec.to_builtins(upload)))
    await require_own_sources(parts, principal, submitted, new_ids)
    await require_acceptable(parts, submitted, new_ids)
    _, [problem] = await submit(parts, [submitted], repeatable=new_ids.repeatable)
    if problem is not None:
        raise problem
    return json_response(Queued(queue_id=submitted.job_id, attachment_id=attachment), status=202)


@routes.get("/api/video-processing/status/{job_id}", responses={200: Item}, problems=(404,))
async def show_item(request: web.Request) -> web.Response:
    """Show a job and its steps."""
    return json_response(_item(request, await visible_job(request, caller_of(request), request.match_info["job_id"])))


@routes.delete("/api/video-processing/status/{job_id}", responses={202: Removed}, problems=(404, 409))
async def remove_item(request: web.Request) -> web.Response:
    """Cancel a job that has not ended, delete one that has."""
    parts, principal = services(request), caller_of(request)
    job = await visible_job(request, principal, request.match_info["job_id"])
    if job.status in JOB_ENDED:
        await actions.delete(parts, principal, job)
        return json_response(Removed(queue_id=job.id, action="deleted"), status=202)
    await actions.cancel(parts, principal, job)
    return json_response(Removed(queue_id=job.id, action="cancelled"), status=202)


@routes.get("/api/video-processing/queue", query=QueueQuery, responses={200: Queue}, problems=(400,))
async def show_queue(request: web.Request) -> web.Response:
    """List all jobs of the caller, whatever their status."""
    scope, model = caller_of(request).scope, services(request).model
    listing = parse(_listing_query(request), JOBS, scope)
    rows = await model.read(page_rows, listing)
    jobs = [job_rows.decode(row) for _, _, row in rows[: listing.limit]]
    following = dump(PageCursor("-created_at", jobs[-1].created_at, jobs[-1].id)) if len(rows) > len(jobs) else None
    counted = stats(await model.read(queries.counts, scope), ()).jobs
    return json_response(
        Queue(
            items=[_item(request, job) for job in jobs],
            next_cursor=following,
            **{shown: counted[status] for status, shown in STATUSES.items()},
        )
    )


def _listing_query(request: web.Request) -> dict[str, str]:
    """Parameters of the list of jobs. Raises Problem (400)."""
    given = {name: request.query[name] for name in ("limit", "cursor") if name in request.query}
    by_shown: dict[str, str] = {shown: status for status, shown in STATUSES.items()}
    requested = list(filter(None, request.query.get("status", "").split(",")))
    if unknown := [shown for shown in requested if shown not in by_shown]:
        raise Problem(400, "invalid-status", f"unknown status {unknown[0][:50]!r}; known: {', '.join(by_shown)}")
    status = {"status": ",".join(by_shown[shown] for shown in requested)} if requested else {}
    return {"limit": str(_QUEUE_ITEMS), **given, **status}


def _item(request: web.Request, job: Job) -> Item:
    live = services(request).progress.live(job.id, job.run)
    return Item(
        queue_id=job.id,
        attachment_id=without_namespace(job.asset_id).removeprefix("attachment-"),
        status=STATUSES[job.status],
        progress_percentage=whole_percent(job_progress(job, live)),
        current_step=current_step(job),
        steps={step.spec.name: _detail(step, live) for step in job.steps},
        error_message=job.error.message if job.error else None,
        created_at=iso_time(job.created_at),
        updated_at=iso_time(job.updated_at),
        completed_at=_time(job.finished_at),
    )


def _detail(step: Any, live: Any) -> StepDetail:
    return StepDetail(
        status=step.status,
        progress_percentage=whole_percent(step_progress(step, live)),
        attempts=step.attempt,
        started_at=_time(step.started_at),
        completed_at=_time(step.finished_at),
        error=step.error.message if step.error else None,
    )


def _time(at: float | None) -> str | None:
    return None if at is None else iso_time(at)

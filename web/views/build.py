"""Views of jobs, steps and assets from their rows and the live overlay. Pure."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from msgspec import UNSET, UnsetType

from schemas.base import ErrorRecord
from schemas.jobs import JOB_ENDED, STEP_PASSED, Asset, Job, Step
from streams.kafka.envelope import iso_time
from tables.job_warnings import asset_warnings, job_warnings
from tables.source_urls import published
from web.readmodel.changelog import duration_s, is_queued
from web.readmodel.job_progress import Live, job_progress, step_progress
from web.views.models import AssetJobView, AssetView, ErrorView, JobView, StepView, WaitingReason

T = TypeVar("T")


class LiveOverlay(NamedTuple):
    """Live state of a job that is in no row."""

    live: Live = {}
    #: Progress by part of a step, by step name.
    parts: Mapping[str, Mapping[str, float]] = {}
    #: Position in the step's queue, from 1, by step name.
    positions: Mapping[str, int] = {}
    #: Seconds until a step is done, by step name; without steps that cannot start.
    remaining_s: Mapping[str, float] = {}
    #: Why a step waits for an executor, by step name.
    reasons: Mapping[str, WaitingReason] = {}


_NO_OVERLAY = LiveOverlay()
#: Name of the main file among a step's outputs.
_MAIN_FILES = {"thumbnails": "poster", "audio": "audio", "compress": "video", "transcribe": "vtt", "download": "object"}


def job_view(job: Job, overlay: LiveOverlay = _NO_OVERLAY) -> JobView:
    """The view of a job, as returned by `GET /v1/jobs/{id}`."""
    return JobView(
        id=job.id,
        asset_id=job.asset_id,
        input=published(job.input),
        pipeline=job.pipeline,
        status=job.status,
        progress=percent(job_progress(job, overlay.live)),
        current_step=current_step(job),
        run=job.run,
        created_at=iso_time(job.created_at),
        updated_at=iso_time(job.updated_at),
        started_at=_time(job.started_at),
        finished_at=_time(job.finished_at),
        error=error_view(job.error),
        warnings=list(job_warnings(job)),
        passthrough=_present(job.passthrough),
        filename=_present(job.filename),
        owner=_present(job.owner),
        priority=job.priority if job.priority != "normal" else UNSET,
        run_at=_present(_time(job.run_at)),
        cancelling=job.cancelling or UNSET,
        eta_s=remaining_s(job, overlay.remaining_s),
        duration_s=_present(duration_s(job)),
        steps=[step_view(step, overlay) for step in job.steps],
    )


def remaining_s(job: Job, by_step: Mapping[str, float]) -> float | None:
    """Seconds until the job is done: the sum over its steps, which share the machine, and the waits of those queued.

    None when the job has ended, or when there is no estimate for one of the remaining steps.
    """
    if job.status in JOB_ENDED:
        return None
    remaining = [by_step.get(step.spec.name) for step in job.steps if step.status not in STEP_PASSED]
    known = [seconds for seconds in remaining if seconds is not None]
    return round(sum(known), 1) if len(known) == len(remaining) else None


def step_view(step: Step, overlay: LiveOverlay = _NO_OVERLAY) -> StepView:
    """The view of a step, as part of its job's view."""
    name, live = step.spec.name, overlay.live
    parts = overlay.parts.get(name, {}) if step.status == "active" else {}
    reason = overlay.reasons.get(name, "queued") if is_queued(step) else None
    return StepView(
        name=step.spec.name,
        status=step.status,
        progress=percent(step_progress(step, live)),
        attempt=step.attempt,
        attempts=attempts_allowed(step),
        started_at=_time(step.started_at),
        finished_at=_time(step.finished_at),
        error=error_view(step.error),
        outputs=_present(step.outputs),
        retry_at=_present(_time(step.due_at) if step.status == "delayed" else None),
        reason=_present(step.reason),
        optional=step.spec.optional or UNSET,
        parts={part: percent(share) for part, share in parts.items()} or UNSET,
        queue_position=_present(overlay.positions.get(name)),
        waiting_reason=_present(reason),
        paused=reason == "paused" or UNSET,
        no_executor=reason == "no_executor" or UNSET,
        eta_s=_present(overlay.remaining_s.get(name) if step.status in ("active", "waiting", "delayed") else None),
    )


def asset_view(asset: Asset, base_url: str = "") -> AssetView:
    """The view of an asset, as returned by `GET /v1/assets/{id}`."""
    return AssetView(
        id=asset.id,
        status=asset.status,
        filename=asset.filename,
        created_at=iso_time(asset.created_at),
        updated_at=iso_time(asset.updated_at),
        reason=_present(asset.reason),
        passthrough=_present(asset.passthrough),
        owner=_present(asset.owner),
        jobs=[
            AssetJobView(id=job_id, status=job.status, pipeline=job.pipeline, created_at=iso_time(job.created_at))
            for job_id, job in sorted(asset.jobs.items(), key=lambda item: (item[1].created_at, item[0]))
        ],
        outputs=asset.outputs,
        warnings=list(asset_warnings(asset)),
        master_url=media_url(asset.id, master_key(asset.outputs), f"{base_url}/media"),
        poster_url=media_url(asset.id, poster_key(asset), f"{base_url}/media"),
    )


def current_step(job: Job) -> str | None:
    """Name of a running step, else of a delayed one, else of the first waiting one; None once the job has ended."""
    if job.status in JOB_ENDED:
        return None
    for status in ("active", "delayed", "waiting"):
        for step in job.steps:
            if step.status == status:
                return step.spec.name
    return None


def attempts_allowed(step: Step) -> int:
    """Maximum number of attempts: the policy's, plus the lost and released ones and those with a sleeping endpoint."""
    uncounted = max(step.attempt - step.failures - 1, step.losses + step.asleep)
    return max(step.spec.retry.attempts + max(uncounted, 0), step.attempt)


def percent(share: float) -> float:
    """0-1 as 0-100 with one decimal, rounded down: 100 means done."""
    return math.floor(share * 1000 + 1e-9) / 10


def whole_percent(share: float) -> int:
    """0-1 as 0-100, rounded down: 100 means done."""
    return int(percent(share))


def master_key(outputs: Mapping[str, Any]) -> str | None:
    """Store key of the master playlist, if any: the one with captions when it lists the same renditions."""
    master, captions = _key(outputs.get("transcode"), "master"), outputs.get("captions")
    return _key(captions, "master") if master and _key(captions, "based_on") == master else master


def result_key(job: Job) -> str | None:
    """Store key of what the job was for: the master playlist, else the main file of the last step that has one."""
    outputs = {step.spec.name: step.outputs for step in job.steps if step.outputs is not None}
    mains = (_key(outputs[name], _MAIN_FILES.get(name, "file")) for name in reversed(outputs))
    return master_key(outputs) or next((key for key in mains if key is not None), None)


def poster_key(asset: Asset) -> str | None:
    """Store key of the poster, if any."""
    return _key(asset.outputs.get("thumbnails"), "poster")


def thumbnail_keys(asset: Asset) -> list[str]:
    """Store keys of the thumbnails, in order of time."""
    keys = (asset.outputs.get("thumbnails") or {}).get("thumbnails")
    return [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []


def storyboard_key(asset: Asset) -> str | None:
    """Store key of the WebVTT storyboard."""
    return _key(asset.outputs.get("thumbnails"), "storyboard")


def caption_keys(asset: Asset) -> list[str]:
    """Store keys of the WebVTT captions."""
    key = _key(asset.outputs.get("transcribe"), "vtt")
    return [key] if key else []


def media_url(asset_id: str, key: str | None, base: str) -> str | None:
    """URL of a key below the asset's folder; `base`: URL up to "/media", or to the grant of a signed one.

    None without a key, or for one outside the folder.
    """
    folder = f"assets/{asset_id}/"
    return f"{base}/{asset_id}/{key.removeprefix(folder)}" if key and key.startswith(folder) else None


def _key(outputs: Any, name: str) -> str | None:
    key = outputs.get(name) if isinstance(outputs, dict) else None
    return key if isinstance(key, str) else None


def _time(at: float | None) -> str | None:
    return None if at is None else iso_time(at)


def error_view(error: ErrorRecord | None) -> ErrorView | UnsetType:
    """The view of an error."""
    if error is None:
        return UNSET
    return ErrorView(code=error.code, message=error.message, retriable=error.retriable, detail=_present(error.detail))


def _present(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value

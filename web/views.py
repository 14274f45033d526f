"""Rows as clients see them: the JSON of jobs, steps and assets. Pure; `live` is progress that no row has yet."""

import math
from collections.abc import Mapping
from typing import Any

from schemas.base import ErrorRecord
from schemas.jobs import JOB_ENDED, STEP_PASSED, Asset, Job, Step
from streams.envelope import iso_time

#: Progress by step name, 0-1, the highest seen in the job's run.
Live = Mapping[str, float]
Shown = dict[str, Any]

_NO_LIVE: Live = {}


def job_view(job: Job, live: Live = _NO_LIVE) -> Shown:
    """The job as `GET /v1/jobs/{id}` shows it."""
    return {
        "id": job.id,
        "asset_id": job.asset_id,
        "pipeline": job.pipeline,
        "status": job.status,
        "progress": percent(job_progress(job, live)),
        "current_step": current_step(job),
        "run": job.run,
        "created_at": iso_time(job.created_at),
        "updated_at": iso_time(job.updated_at),
        "started_at": _time(job.started_at),
        "finished_at": _time(job.finished_at),
        **_present(
            error=_error(job.error),
            passthrough=job.passthrough,
            filename=job.filename,
            owner=job.owner,
            cancelling=job.cancelling or None,
        ),
        "steps": [step_view(step, live) for step in job.steps],
    }


def step_view(step: Step, live: Live = _NO_LIVE) -> Shown:
    """A step as it stands in its job's view."""
    return {
        "name": step.spec.name,
        "status": step.status,
        "progress": percent(step_progress(step, live)),
        "attempt": step.attempt,
        "attempts": attempts_allowed(step),
        "started_at": _time(step.started_at),
        "finished_at": _time(step.finished_at),
        **_present(
            error=_error(step.error),
            outputs=step.outputs,
            retry_at=_time(step.due_at) if step.status == "delayed" else None,
            reason=step.reason,
        ),
    }


def asset_view(asset: Asset) -> Shown:
    """The asset as `GET /v1/assets/{id}` shows it."""
    return {
        "id": asset.id,
        "status": asset.status,
        "filename": asset.filename,
        "created_at": iso_time(asset.created_at),
        "updated_at": iso_time(asset.updated_at),
        **_present(reason=asset.reason, passthrough=asset.passthrough, owner=asset.owner),
        "jobs": [
            {"id": job_id, "status": job.status, "pipeline": job.pipeline, "created_at": iso_time(job.created_at)}
            for job_id, job in sorted(asset.jobs.items(), key=lambda item: (item[1].created_at, item[0]))
        ],
        "outputs": asset.outputs,
        "master_url": media_path(asset.id, master_key(asset)),
        "poster_url": media_path(asset.id, poster_key(asset)),
    }


def step_progress(step: Step, live: Live = _NO_LIVE) -> float:
    """0-1; a step that was skipped counts whole, and a try that failed takes nothing back within a run."""
    if step.status in STEP_PASSED:
        return 1.0
    return min(max(step.progress, live.get(step.spec.name, 0.0), 0.0), 1.0)


def job_progress(job: Job, live: Live = _NO_LIVE) -> float:
    """0-1: the sum of the steps' progress, weighted by `spec.weight`."""
    if job.status == "completed":
        return 1.0
    whole = sum(step.spec.weight for step in job.steps)
    done = sum(step.spec.weight * step_progress(step, live) for step in job.steps)
    return done / whole if whole > 0 else 0.0


def current_step(job: Job) -> str | None:
    """What the job is at: a running step, else a delayed one, else the first to come; None when it has ended."""
    if job.status in JOB_ENDED:
        return None
    for status in ("active", "delayed", "waiting"):
        for step in job.steps:
            if step.status == status:
                return step.spec.name
    return None


def attempts_allowed(step: Step) -> int:
    """Tries in all: the policy's, and one more for each that was lost, released, or found an endpoint asleep."""
    uncounted = max(step.attempt - step.failures - 1, step.losses + step.asleep)
    return max(step.spec.retry.attempts + max(uncounted, 0), step.attempt)


def percent(share: float) -> float:
    """0-1 as 0-100 with one decimal, rounded down: 100 means done."""
    return math.floor(share * 1000 + 1e-9) / 10


def master_key(asset: Asset) -> str | None:
    """Store key of the master playlist, once there is one: the one with captions, if it lists the same renditions."""
    master, captions = _key(asset.outputs.get("transcode"), "master"), asset.outputs.get("captions")
    return _key(captions, "master") if master and _key(captions, "based_on") == master else master


def poster_key(asset: Asset) -> str | None:
    """Store key of the poster, once there is one."""
    return _key(asset.outputs.get("thumbnails"), "poster")


def caption_keys(asset: Asset) -> list[str]:
    """Store keys of WebVTT captions."""
    key = _key(asset.outputs.get("transcribe"), "vtt")
    return [key] if key else []


def media_path(asset_id: str, key: str | None, base: str = "/media") -> str | None:
    """Where a key below the asset's folder is served; None for no key, or one that lies elsewhere."""
    folder = f"assets/{asset_id}/"
    return f"{base}/{asset_id}/{key.removeprefix(folder)}" if key and key.startswith(folder) else None


def _key(outputs: Any, name: str) -> str | None:
    found = outputs.get(name) if isinstance(outputs, dict) else None
    return found if isinstance(found, str) else None


def _time(at: float | None) -> str | None:
    return None if at is None else iso_time(at)


def _error(error: ErrorRecord | None) -> Shown | None:
    if error is None:
        return None
    return {"code": error.code, "message": error.message, "retriable": error.retriable, **_present(detail=error.detail)}


def _present(**fields: Any) -> Shown:
    return {name: value for name, value in fields.items() if value is not None}

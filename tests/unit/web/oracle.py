"""What lists and statistics must answer, by brute force: from the rows as they stand in the log, without SQL."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, get_args

from schemas.jobs import Job, JobStatus, StepStatus
from schemas.steps import step_kinds
from web.readmodel.job_progress import job_progress

#: What a job is sorted by; a list is in order of (this, id).
SORTS: dict[str, Callable[[Job], float]] = {
    "created_at": lambda job: job.created_at,
    "updated_at": lambda job: job.updated_at,
    "duration": lambda job: -1.0 if _duration(job) is None else _duration(job) or 0.0,
    "progress": job_progress,
}


def answer(jobs: Iterable[Job], query: Mapping[str, str], owner: str | None) -> list[str]:
    """Ids of all jobs that `query` asks for, of what `owner` may see (None: all), in order."""
    sort = query.get("sort", "-created_at")
    found = [job for job in jobs if (owner is None or job.owner == owner) and _wanted(job, query)]
    value = SORTS[sort.removeprefix("-")]
    found.sort(key=lambda job: (value(job), job.id), reverse=sort.startswith("-"))
    return [job.id for job in found]


def _wanted(job: Job, query: Mapping[str, str]) -> bool:
    checks: dict[str, Callable[[str], bool]] = {
        "status": lambda text: job.status in text.split(","),
        "pipeline": lambda text: job.pipeline == text,
        "asset_id": lambda text: job.asset_id == text,
        "owner": lambda text: job.owner == text,
        "q": lambda text: any(text.lower() in said.lower() for said in _said(job)),
        "created_after": lambda text: job.created_at > datetime.fromisoformat(text).timestamp(),
        "created_before": lambda text: job.created_at < datetime.fromisoformat(text).timestamp(),
        "step": lambda text: _has(job, text),
        "error_code": lambda text: job.status == "failed" and job.error is not None and job.error.code == text,
    }
    return all(checks[name](text) for name, text in query.items() if name in checks)


def _said(job: Job) -> list[str]:
    error = (job.error.code, job.error.message) if job.error else ()
    return [text for text in (job.id, job.asset_id, job.filename, job.passthrough, *error) if text]


def _has(job: Job, text: str) -> bool:
    name, _, status = text.partition(":")
    return any(step.spec.name == name and status in ("", *_states(step)) for step in job.steps)


def _states(step: Any) -> list[str]:
    queued = step.status == "waiting" and step.requested_at is not None
    return [step.status, "queued"] if queued else [step.status]


def _duration(job: Job) -> float | None:
    return None if job.started_at is None or job.finished_at is None else job.finished_at - job.started_at


def statistics(jobs: Iterable[Job], owner: str | None, pipelines: Iterable[str] = ()) -> dict[str, Any]:
    """What /v1/stats must say of jobs, zeros included; `pipelines`: those that are known without a job."""
    seen = [job for job in jobs if owner is None or job.owner == owner]
    steps = {name: _none_of(*get_args(StepStatus), "queued") for name in step_kinds()}
    by_pipeline = {name: _none_of(*get_args(JobStatus)) for name in pipelines}
    for job in seen:
        by_pipeline.setdefault(job.pipeline, _none_of(*get_args(JobStatus)))[job.status] += 1
        for step in job.steps:
            steps[step.spec.name].update(_states(step))
    return {
        "jobs": {status: sum(job.status == status for job in seen) for status in get_args(JobStatus)},
        "pipelines": {name: sum(counted.values()) for name, counted in by_pipeline.items()},
        "pipeline_status": {name: dict(counted) for name, counted in by_pipeline.items()},
        "steps": {name: dict(counted) for name, counted in steps.items()},
    }


def _none_of(*names: str) -> Counter[str]:
    return Counter(dict.fromkeys(names, 0))

"""The past state of jobs at any moment, folded from their events. Pure."""

from dataclasses import dataclass, field, replace
from typing import Any

from msgspec.structs import replace as replaced

from schemas.base import ErrorRecord
from schemas.facts import (
    JobCancelled,
    JobCompleted,
    JobDeleted,
    JobFact,
    JobFailed,
    JobSubmitted,
    StepCompleted,
    StepFact,
    StepFailed,
    StepRetried,
    StepSkipped,
    StepStarted,
)
from schemas.jobs import STEP_ENDED, STEP_PASSED, Job, JobStatus, Step, StepSpec
from web.timelines.facts import Fact


@dataclass(frozen=True)
class PastJob:
    """The state of a job at a past moment."""

    id: str
    asset_id: str
    pipeline: str
    owner: str | None
    created_at: float
    updated_at: float
    status: JobStatus = "waiting"
    run: int = 1
    started_at: float | None = None
    finished_at: float | None = None
    error: ErrorRecord | None = None
    #: Steps with events, by name; all others are waiting.
    steps: dict[str, Step] = field(default_factory=dict)


_ENDS: dict[type[JobFact], JobStatus] = {JobCompleted: "completed", JobFailed: "failed", JobCancelled: "cancelled"}


def before_first(job: Job, first: Fact) -> PastJob | None:
    """The job just before the first event that is left of it, as far as its current row tells: topic retention has
    removed the earlier ones. None for an event that is not about a job.
    """
    message = first.message
    if not isinstance(message, JobFact):
        return None
    started_at = job.started_at if job.started_at is not None and job.started_at < first.at else None
    steps = (_step_before(step, message.run, first.at) for step in job.steps)
    return PastJob(
        job.id,
        job.asset_id,
        job.pipeline,
        job.owner,
        created_at=job.created_at,
        updated_at=first.at,
        status="waiting" if started_at is None else "active",
        run=max(message.run - isinstance(message, JobSubmitted), 1),
        started_at=started_at,
        steps={step.spec.name: step for step in steps if step is not None},
    )


def _step_before(step: Step, run: int, at: float) -> Step | None:
    """The state of a step at that moment in that run, as far as its current row tells; None: it was waiting."""
    if step.finished_at is not None and step.finished_at <= at and step.status in STEP_ENDED:
        return step
    if step.run == run and step.started_at is not None and step.started_at <= at:
        return Step(spec=step.spec, run=run, attempt=1, status="active", started_at=step.started_at)
    return None


def fold(job: PastJob | None, fact: Fact) -> PastJob | None:
    """`job` after `fact`; None once it has been deleted. A repeated event changes nothing."""
    message = fact.message
    if isinstance(message, JobDeleted):
        return None
    if isinstance(message, JobSubmitted):
        return _submitted(job, message, fact.at)
    if job is None or not isinstance(message, JobFact) or message.run < job.run:
        return job
    if isinstance(message, StepFact):
        return _step(job, message, fact.at)
    if job.finished_at is not None:
        return job
    ended = replace(job, status=_ENDS[type(message)], finished_at=fact.at, updated_at=fact.at)
    return _stopped(replace(ended, error=message.error) if isinstance(message, JobFailed) else ended, fact.at)


def _submitted(job: PastJob | None, message: JobSubmitted, at: float) -> PastJob:
    if job is None:
        return PastJob(message.job_id, message.asset_id, message.pipeline, message.owner, at, at, run=message.run)
    if message.run <= job.run:
        return job
    kept = {name: step for name, step in job.steps.items() if step.status in STEP_PASSED}
    fresh = replace(job, status="waiting", run=message.run, started_at=None, finished_at=None, error=None)
    return replace(fresh, steps=kept, updated_at=at)


def _step(job: PastJob, message: StepFact, at: float) -> PastJob:
    step = job.steps.get(message.step)
    if step is None or step.run < message.run:  # or it was skipped, and a retry has started it
        step = Step(spec=StepSpec(name=message.step), run=message.run)
    if step.status in STEP_ENDED or message.attempt < step.attempt:
        return job
    changed = replaced(step, run=message.run, attempt=message.attempt, **_changes(step, message, at))
    moved = replace(job, steps={**job.steps, message.step: changed}, updated_at=at)
    if isinstance(message, StepStarted):
        return replace(moved, status="active", started_at=job.started_at or at)
    return moved


def _changes(step: Step, message: StepFact, at: float) -> dict[str, Any]:
    match message:
        case StepStarted():
            return {"status": "active", "started_at": step.started_at or at, "due_at": None}
        case StepCompleted():
            return {"status": "completed", "finished_at": at, "outputs": message.outputs, "error": None}
        case StepSkipped():
            return {"status": "skipped", "finished_at": at, "reason": message.reason}
        case StepFailed():
            return {"status": "failed", "finished_at": at, "error": message.error}
        case StepRetried():
            return {"status": "delayed", "due_at": message.retry_at, "error": message.error}
        case _:
            return {}


def _stopped(job: PastJob, at: float) -> PastJob:
    """Cancel the steps that have not ended with their job: there are no events of cancelled steps."""
    return replace(
        job,
        steps={
            name: step if step.status in STEP_ENDED else replaced(step, status="cancelled", finished_at=at)
            for name, step in job.steps.items()
        },
    )


def as_row(past: PastJob, now: Job) -> Job:
    """The past job as a row; properties that never change are taken from the current row."""
    return replaced(
        now,
        status=past.status,
        run=past.run,
        updated_at=past.updated_at,
        started_at=past.started_at,
        finished_at=past.finished_at,
        error=past.error,
        cancelling=False,
        steps=tuple(_past_step(past, step) for step in now.steps),
    )


def _past_step(past: PastJob, now: Step) -> Step:
    known = past.steps.get(now.spec.name)
    if known is not None and not _is_retried(past, known, now.spec):
        return replaced(known, spec=now.spec)
    ended = past.finished_at is not None
    return Step(spec=now.spec, status="cancelled" if ended else "waiting", finished_at=past.finished_at)


def _is_retried(past: PastJob, known: Step, spec: StepSpec) -> bool:
    """Whether a retry has undone that the step was skipped: a step that it needs had failed and runs again."""
    needed = [past.steps.get(name) for name in spec.needs]
    return known.status == "skipped" and any(step is None or step.run > known.run for step in needed)

"""What a job says: everything that stands in its row, each with an id that never changes.

The effects of a transition are the statements that are new; those of a replay are all of them. Consumers drop an id
that they have seen, so saying a thing twice is harmless, and not having said it is repaired.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from schemas.base import ErrorRecord, Json, Message
from schemas.facts import (
    AssetDeleted,
    AssetFailed,
    AssetReady,
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
from schemas.jobs import DeletedJob, Job, Step
from schemas.removals import RemoveArtifacts
from schemas.step_events import LeaseRevoked, QueueChanged, StepRequested
from tables.policies import MAX_ASLEEP

Effects = list[Message]


def event_id(message: Message) -> str:
    """The id under which `message` is said, the same however often it is: job/run[/step/attempt]/kind."""
    return _naming(type(message))(message)


@lru_cache
def _naming(kind: type[Message]) -> Callable[[Any], str]:
    """How messages of a type are named."""
    word = kind.TYPE.removeprefix("media.").rpartition(".")[0]
    if issubclass(kind, LeaseRevoked):
        return lambda m: f"{m.job_id}/{m.run}/{m.step}/{m.attempt}/{m.lease_id}/revoked"
    if issubclass(kind, (StepRequested, StepFact)):
        return lambda m: f"{m.job_id}/{m.run}/{m.step}/{m.attempt}/{word}"
    if issubclass(kind, RemoveArtifacts):
        return lambda m: f"{m.asset_id}/{m.job_id or ''}/{m.deleted_at:.3f}/remove"
    if issubclass(kind, QueueChanged):
        return lambda m: f"queue/{m.step}/{m.changed_at:.3f}/{'paused' if m.paused else 'resumed'}"
    if issubclass(kind, AssetDeleted):
        return lambda m: f"{m.asset_id}/{m.deleted_at:.3f}/deleted"
    if issubclass(kind, (JobFact, AssetReady, AssetFailed)):
        return lambda m: f"{m.job_id}/{m.run}/{word}"
    raise TypeError(f"{kind.TYPE} is not said by control")


#: What tells a statement from every other of its step, and what makes its message when it is needed.
_Statement = tuple[tuple[Any, ...], Callable[[Job, Step], Message]]


def outstanding(job: Job) -> Effects:
    """Everything that stands in `job`: requests that nobody accepted, revokes that nobody answered, the last facts."""
    said = [_submitted(job)]
    for step in job.steps:
        said += [make(job, step) for _, make in _step_statements(job, step)]
    return said if job.finished_at is None else [*said, _ended(job)]


def news(before: Job, after: Job) -> Effects:
    """What stands in `after` and did not in `before`, an earlier state of the same job."""
    said: Effects = [_submitted(after)] if before.run != after.run else []
    for old, step in zip(before.steps, after.steps, strict=True):
        if step is not old or before.cancelling != after.cancelling:
            known = [key for key, _ in _step_statements(before, old)]
            said += [make(after, step) for key, make in _step_statements(after, step) if key not in known]
    if after.finished_at is not None and _end_key(before) != _end_key(after):
        said.append(_ended(after))
    return said


def epitaph(grave: DeletedJob) -> Effects:
    """Everything that stands about a deleted job."""
    gone = JobDeleted(
        job_id=grave.id, asset_id=grave.asset_id, pipeline=grave.pipeline, run=grave.run, owner=grave.owner
    )
    if not grave.prefixes:
        return [gone]
    return [
        gone,
        RemoveArtifacts(asset_id=grave.asset_id, job_id=grave.id, deleted_at=grave.deleted_at, prefixes=grave.prefixes),
    ]


def _end_key(job: Job) -> tuple[int, str] | None:
    return (job.run, job.status) if job.finished_at is not None else None


def _step_statements(job: Job, step: Step) -> list[_Statement]:
    run, attempt, status = step.run, step.attempt, step.status
    if status == "waiting":
        return [((run, attempt, "requested", step.dispatches), _requested)] if step.requested_at is not None else []
    if status == "active":
        started: _Statement = ((run, attempt, "started"), _started)
        return [started, ((run, attempt, "revoked"), _revoked)] if job.cancelling else [started]
    return [((run, attempt, status), _FACTS[status])] if status != "cancelled" else []


def _requested(job: Job, step: Step) -> StepRequested:
    return StepRequested(
        job_id=job.id,
        asset_id=job.asset_id,
        run=step.run,
        step=step.spec.name,
        attempt=step.attempt,
        input=job.input,
        requested_at=step.requested_at or 0.0,
        priority=job.priority,
        filename=job.filename,
        params=step.spec.params,
        inputs=_inputs(job, step),
        asleep_left=max(0, MAX_ASLEEP - step.asleep),
    )


def _inputs(job: Job, step: Step) -> dict[str, Json]:
    """Outputs of every step that `step` comes after, directly or not."""
    before: set[str] = set(step.spec.after)
    for other in reversed(job.steps):  # each stands behind those it comes after
        if other.spec.name in before:
            before.update(other.spec.after)
    return {s.spec.name: s.outputs for s in job.steps if s.spec.name in before and s.outputs is not None}


def _revoked(job: Job, step: Step) -> LeaseRevoked:
    return LeaseRevoked(
        job_id=job.id,
        asset_id=job.asset_id,
        run=step.run,
        step=step.spec.name,
        attempt=step.attempt,
        lease_id=step.lease.id if step.lease else "",
        reason="cancelled",
    )


def _about(job: Job, run: int) -> dict[str, Any]:
    """What every fact about a job carries."""
    return {
        "job_id": job.id,
        "asset_id": job.asset_id,
        "pipeline": job.pipeline,
        "run": run,
        "owner": job.owner,
        "passthrough": job.passthrough,
    }


def _submitted(job: Job) -> Message:
    return JobSubmitted(**_about(job, job.run), input=job.input, filename=job.filename)


def _ended(job: Job) -> Message:
    about = _about(job, job.run)
    if job.status == "completed":
        return JobCompleted(**about)
    if job.status == "cancelled":
        return JobCancelled(**about)
    return JobFailed(**about, error=_error(job.error))


def _step_about(job: Job, step: Step) -> dict[str, Any]:
    return {**_about(job, step.run), "step": step.spec.name, "attempt": step.attempt}


def _started(job: Job, step: Step) -> Message:
    return StepStarted(**_step_about(job, step))


def _published(job: Job, step: Step) -> Message:
    return StepCompleted(**_step_about(job, step), outputs=step.outputs or {})


def _omitted(job: Job, step: Step) -> Message:
    return StepSkipped(**_step_about(job, step), reason=step.reason or "")


def _gave_up(job: Job, step: Step) -> Message:
    return StepFailed(**_step_about(job, step), error=_error(step.error))


def _retried(job: Job, step: Step) -> Message:
    about = _step_about(job, step)
    return StepRetried(**about, error=_error(step.error), retry_at=step.due_at or 0.0)


_FACTS: dict[str, Callable[[Job, Step], Message]] = {
    "completed": _published,
    "skipped": _omitted,
    "failed": _gave_up,
    "delayed": _retried,
}


def _error(error: ErrorRecord | None) -> ErrorRecord:
    return error or ErrorRecord(code="internal-error", message="An error of ours; the log has it.")

"""Effects of a job: the messages that its row implies, each with an id that never changes.

Effects are the difference between the old and the new row. If one is lost, all effects implied by the row are sent
again with the same ids, and consumers drop an id that they have seen.
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
from tables.job_warnings import job_warnings
from tables.policies import MAX_ASLEEP
from tables.source_urls import published

Effects = list[Message]


def event_id(message: Message) -> str:
    """The event id of an effect, the same at every repeat: job/run[/step/attempt]/kind."""
    return _id_format(type(message))(message)


@lru_cache
def _id_format(kind: type[Message]) -> Callable[[Any], str]:
    """The event id of a type's messages."""
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
    raise TypeError(f"{kind.TYPE} is not an effect")


#: A key that is unique among the effects of a step, and the function that builds the message.
_StepEffect = tuple[tuple[Any, ...], Callable[[Job, Step], Message]]


def implied_effects(job: Job) -> Effects:
    """All effects that the row of `job` implies: unaccepted requests, unanswered revokes, the latest facts."""
    effects = [_submitted(job)]
    for step in job.steps:
        effects += [build(job, step) for _, build in _step_effects(job, step)]
    return effects if job.finished_at is None else [*effects, _ended(job)]


def new_effects(before: Job, after: Job) -> Effects:
    """The effects that `after` implies and `before`, an earlier state of the job, did not."""
    effects: Effects = [_submitted(after)] if before.run != after.run else []
    for old, step in zip(before.steps, after.steps, strict=True):
        if step is not old or before.cancelling != after.cancelling:
            known = _step_effects(before, old)
            effects += [effect[1](after, step) for effect in _step_effects(after, step) if effect not in known]
    if after.finished_at is not None and _end_key(before) != _end_key(after):
        effects.append(_ended(after))
    return effects


def deletion_effects(deleted: DeletedJob) -> Effects:
    """All effects that the mark of a deleted job implies."""
    fact = JobDeleted(
        job_id=deleted.id, asset_id=deleted.asset_id, pipeline=deleted.pipeline, run=deleted.run, owner=deleted.owner
    )
    if not deleted.prefixes and not deleted.has_source_url:
        return [fact]
    removal = RemoveArtifacts(
        asset_id=deleted.asset_id,
        job_id=deleted.id,
        deleted_at=deleted.deleted_at,
        prefixes=deleted.prefixes,
        source_url=deleted.has_source_url,
    )
    return [fact, removal]


def _end_key(job: Job) -> tuple[int, str] | None:
    return (job.run, job.status) if job.finished_at is not None else None


def _step_effects(job: Job, step: Step) -> list[_StepEffect]:
    run, attempt, status = step.run, step.attempt, step.status
    if status == "waiting":
        return [((run, attempt, "requested", step.dispatches), step_request)] if step.requested_at is not None else []
    if status == "active":
        started: _StepEffect = ((run, attempt, "started"), _started)
        return [started, ((run, attempt, "revoked"), _revoked)] if job.cancelling else [started]
    return [((run, attempt, status), _FACTS[status])] if status != "cancelled" else []


def step_request(job: Job, step: Step, **given: Any) -> StepRequested:
    """The request for the current attempt of a step; `given`: fields that name the executor, none yet by default."""
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
        **given,
    )


def _inputs(job: Job, step: Step) -> dict[str, Json]:
    """Outputs of every step that `step` runs after, directly or indirectly."""
    if not step.spec.after:
        return {}
    before: set[str] = set(step.spec.after)
    for other in reversed(job.steps):  # steps are in topological order
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
    """The fields of every fact about a job."""
    return {
        "job_id": job.id,
        "asset_id": job.asset_id,
        "pipeline": job.pipeline,
        "run": run,
        "owner": job.owner,
        "passthrough": job.passthrough,
    }


def _submitted(job: Job) -> Message:
    return JobSubmitted(**_about(job, job.run), input=published(job.input), filename=job.filename)


def _ended(job: Job) -> Message:
    about = _about(job, job.run)
    if job.status == "completed":
        return JobCompleted(**about, warnings=job_warnings(job))
    if job.status == "cancelled":
        return JobCancelled(**about)
    return JobFailed(**about, error=_error(job.error))


def _step_about(job: Job, step: Step) -> dict[str, Any]:
    return {**_about(job, step.run), "step": step.spec.name, "attempt": step.attempt}


def _started(job: Job, step: Step) -> Message:
    return StepStarted(**_step_about(job, step))


def _completed(job: Job, step: Step) -> Message:
    return StepCompleted(**_step_about(job, step), outputs=step.outputs or {})


def _skipped(job: Job, step: Step) -> Message:
    return StepSkipped(**_step_about(job, step), reason=step.reason or "")


def _failed(job: Job, step: Step) -> Message:
    return StepFailed(**_step_about(job, step), error=_error(step.error))


def _retried(job: Job, step: Step) -> Message:
    about = _step_about(job, step)
    return StepRetried(**about, error=_error(step.error), retry_at=step.due_at or 0.0)


_FACTS: dict[str, Callable[[Job, Step], Message]] = {
    "completed": _completed,
    "skipped": _skipped,
    "failed": _failed,
    "delayed": _retried,
}


def _error(error: ErrorRecord | None) -> ErrorRecord:
    return error or ErrorRecord(code="internal-error", message="An internal error; see the server log.")

"""What a job says: everything that stands in its row, each with an id that never changes.

The effects of a transition are the statements that are new; those of a replay are all of them. Consumers drop an id
that they have seen, so saying a thing twice is harmless, and not having said it is repaired.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

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
    StepFact,
    StepGaveUp,
    StepOmitted,
    StepPublished,
    StepRetried,
    StepStarted,
)
from schemas.jobs import Grave, Job, Step
from schemas.removals import RemoveArtifacts
from schemas.step_events import LeaseRevoked, QueueChanged, StepRequested
from tables.policies import MAX_ASLEEP

Effects = list[Message]


@lru_cache
def _kind(message_type: str) -> str:
    return message_type.removeprefix("media.").rpartition(".")[0]


def event_id(message: Message) -> str:
    """The id under which `message` is said, the same however often it is: job/run[/step/attempt]/kind."""
    kind = _kind(message.TYPE)
    if isinstance(message, LeaseRevoked):
        return f"{message.job_id}/{message.run}/{message.step}/{message.attempt}/{message.lease_id}/revoked"
    if isinstance(message, (StepRequested, StepFact)):
        return f"{message.job_id}/{message.run}/{message.step}/{message.attempt}/{kind}"
    if isinstance(message, RemoveArtifacts):
        return f"{message.asset_id}/{message.job_id or ''}/{message.deleted_at:.3f}/remove"
    if isinstance(message, QueueChanged):
        return f"queue/{message.step}/{message.changed_at:.3f}/{'paused' if message.paused else 'resumed'}"
    if isinstance(message, AssetDeleted):
        return f"{message.asset_id}/{message.deleted_at:.3f}/deleted"
    if isinstance(message, (JobFact, AssetReady, AssetFailed)):
        return f"{message.job_id}/{message.run}/{kind}"
    raise TypeError(f"{message.TYPE} is not said by control")


class _Statement(NamedTuple):
    """One thing that stands. `key` tells it from every other; the message is made when it is needed."""

    key: str
    make: Callable[[], Message]


def outstanding(job: Job) -> Effects:
    """Everything that stands in `job`: requests that nobody accepted, revokes that nobody answered, the last facts."""
    return [statement.make() for statement in _statements(job)]


def news(before: Job, after: Job) -> Effects:
    """What stands in `after` and did not in `before`."""
    old = {statement.key for statement in _statements(before)}
    return [statement.make() for statement in _statements(after) if statement.key not in old]


def epitaph(grave: Grave) -> Effects:
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


def _statements(job: Job) -> Iterator[_Statement]:
    yield _Statement(f"{job.run}/submitted", partial(_submitted, job))
    for step in job.steps:
        yield from _step_statements(job, step)
    if job.finished_at is not None:
        yield _Statement(f"{job.run}/{job.status}", partial(_ended, job))


def _step_statements(job: Job, step: Step) -> Iterator[_Statement]:
    place = f"{step.run}/{step.spec.name}/{step.attempt}"
    if step.status == "waiting":
        if step.requested_at is not None:
            yield _Statement(f"{place}/requested/{step.dispatches}", partial(_requested, job, step))
    elif step.status == "active":
        yield _Statement(f"{place}/started", partial(_started, job, step))
        if job.cancelling:
            yield _Statement(f"{place}/revoked", partial(_revoked, job, step))
    elif step.status != "cancelled":
        yield _Statement(f"{place}/{step.status}", partial(_FACTS[step.status], job, step))


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
    return StepPublished(**_step_about(job, step), outputs=step.outputs or {})


def _omitted(job: Job, step: Step) -> Message:
    return StepOmitted(**_step_about(job, step), reason=step.reason or "")


def _gave_up(job: Job, step: Step) -> Message:
    return StepGaveUp(**_step_about(job, step), error=_error(step.error))


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

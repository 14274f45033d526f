"""Transitions of one step, pure: what an event of its attempt, or of a timer, makes of it."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from schemas.base import ErrorRecord
from schemas.jobs import Job, Step
from schemas.step_events import (
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptReleased,
    AttemptSkipped,
    DispatchDue,
    LeaseExpired,
    RetryDue,
    StepEvent,
)
from tables.bounds import MAX_NAME_BYTES, bounded_error, clipped, outputs_fit, without_excess_warnings
from tables.policies import (
    ASLEEP_CODE,
    EXECUTOR_LOST,
    MAX_ASLEEP,
    MAX_EVENT_DELAY_S,
    MAX_LOSSES,
    OUTPUTS_TOO_LARGE,
    asleep_delay_s,
    loss_delay_s,
    requested_delay_s,
    retry_delay_s,
)
from tables.scheduling import delay, end, is_ending, request


def _completed(job: Job, step: Step, event: AttemptCompleted, now: float) -> Step:
    outputs = without_excess_warnings(event.outputs)
    if not outputs_fit(outputs):
        return _fail(job, step, event, OUTPUTS_TOO_LARGE, now)
    return replace(step, status="completed", outputs=outputs, progress=1.0, finished_at=now, error=None)


def _skipped(job: Job, step: Step, event: AttemptSkipped, now: float) -> Step:
    if not outputs_fit(event.outputs):
        return _fail(job, step, event, OUTPUTS_TOO_LARGE, now)
    outputs, reason = event.outputs or None, clipped(event.reason, MAX_NAME_BYTES)
    return replace(step, status="skipped", reason=reason, outputs=outputs, progress=1.0, finished_at=now, error=None)


def _failed(job: Job, step: Step, event: AttemptFailed, now: float) -> Step:
    return _fail(job, _risen(step, event.progress), event, bounded_error(event.error), now)


def _fail(job: Job, step: Step, event: StepEvent, error: ErrorRecord, now: float) -> Step:
    if is_ending(job):
        return end(step, "cancelled", now, error)
    if error.code == ASLEEP_CODE and step.asleep < MAX_ASLEEP:
        return delay(replace(step, asleep=step.asleep + 1), now + asleep_delay_s(), error)
    step = replace(step, failures=step.failures + 1)
    if not error.retriable or step.failures >= step.spec.retry.attempts:
        return end(step, "failed", now, error)
    delay_s = requested_delay_s(error, retry_delay_s(step.spec.retry, step.failures, _seed(event)))
    return delay(step, now + delay_s, error)


def _expired(job: Job, step: Step, event: LeaseExpired, now: float) -> Step:
    if event.decided_at and now - event.decided_at > MAX_EVENT_DELAY_S:
        return step  # the broker was unavailable: the lease gets a grace period
    step = _risen(replace(step, losses=step.losses + 1), event.progress)
    if is_ending(job):
        return end(step, "cancelled", now, EXECUTOR_LOST)
    if step.losses > MAX_LOSSES:
        return end(step, "failed", now, EXECUTOR_LOST)
    return delay(step, now + loss_delay_s(step.losses), EXECUTOR_LOST)


def _released(job: Job, step: Step, event: AttemptReleased | AttemptCancelled, now: float) -> Step:
    """Released or cancelled: the step ends when the job is ending, and is requested again otherwise."""
    step = _risen(step, event.progress)
    return end(step, "cancelled", now, None) if is_ending(job) else request(job, step, now)


def _due(job: Job, step: Step, _event: RetryDue, now: float) -> Step:
    return request(job, step, now)


def _dispatched_again(_job: Job, step: Step, _event: DispatchDue, now: float) -> Step:
    """The same attempt with the same id: a second acceptance is revoked."""
    return replace(step, requested_at=now, dispatches=step.dispatches + 1)


def _risen(step: Step, progress: float) -> Step:
    """Progress never falls within a run, even when an attempt is lost."""
    risen = min(progress, 1.0)
    return replace(step, progress=risen) if risen > step.progress else step


def _seed(event: StepEvent) -> str:
    return f"{event.job_id}/{event.run}/{event.step}/{event.attempt}"


#: By event: (job, step, event, now) -> the step after it; the same object where nothing changes.
TRANSITIONS: dict[type[StepEvent], Callable[[Job, Step, Any, float], Step]] = {
    AttemptCompleted: _completed,
    AttemptSkipped: _skipped,
    AttemptFailed: _failed,
    LeaseExpired: _expired,
    AttemptReleased: _released,
    AttemptCancelled: _released,
    RetryDue: _due,
    DispatchDue: _dispatched_again,
}


def is_current(step: Step, event: StepEvent) -> bool:
    """Whether the event is about the current attempt and state of the step."""
    if step.attempt != event.attempt or step.run != event.run:
        return False
    if type(event) is RetryDue:
        return step.status == "delayed"
    if type(event) is DispatchDue:
        return _is_requested(step) and step.dispatches == event.dispatches
    return owns(step, getattr(event, "lease_id", ""))


def is_awaited(step: Step, event: StepEvent) -> bool:
    """Whether the attempt waits for an executor to accept it."""
    return _is_requested(step) and (step.run, step.attempt) == (event.run, event.attempt)


def owns(step: Step, lease_id: str) -> bool:
    """Whether the lease is that of the current attempt."""
    return step.status == "active" and step.lease is not None and step.lease.id == lease_id


def _is_requested(step: Step) -> bool:
    return step.status == "waiting" and step.requested_at is not None

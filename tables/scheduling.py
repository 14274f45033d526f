"""Scheduling of a job, pure: which steps are requested, skipped or cancelled, and when the job ends."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from schemas.base import ErrorRecord
from schemas.jobs import STEP_ENDED, STEP_PASSED, Job, Step


def settle(job: Job, now: float) -> Job:
    """Request the steps that may start, cancel those that must not, and end the job when all have ended."""
    ending, early = is_ending(job), job.run_at is not None and now < job.run_at and is_scheduled(job)
    steps: list[Step] = []
    passed: dict[str, Step] = {}
    for before in job.steps:  # steps are in topological order
        step = before if early and not ending else _settle_step(job, before, passed, ending, now)
        if is_passed(step):
            passed[step.spec.name] = step
        steps.append(step)
    return replace(job, steps=tuple(steps), updated_at=now, **_end_of(job, steps, now))


def _settle_step(job: Job, step: Step, passed: Mapping[str, Step], ending: bool, now: float) -> Step:
    if ending and step.status in ("waiting", "delayed"):
        return end(step, "cancelled", now, step.error)
    if step.status == "waiting" and step.requested_at is None and passed.keys() >= {*step.spec.after}:
        return _request_or_skip(job, step, passed, now)
    return step


def _request_or_skip(job: Job, step: Step, passed: Mapping[str, Step], now: float) -> Step:
    """Request the step, or skip it because a step that it needs was skipped or has failed."""
    for needed in (passed[name] for name in step.spec.needs):
        if needed.status != "completed":
            reason = needed.reason if needed.status == "skipped" else f"{needed.spec.name}-failed"
            return replace(step, status="skipped", run=job.run, reason=reason, progress=1.0, finished_at=now)
    return request(job, step, now)


def _end_of(job: Job, steps: Sequence[Step], now: float) -> dict[str, Any]:
    """The fields that change because all steps have ended; none while one has not."""
    passed = 0
    for step in steps:  # a generator would take as long as the rest of a job of one step
        if step.status not in STEP_ENDED:
            return {}
        passed += is_passed(step)
    if passed == len(steps):
        return {"status": "completed", "finished_at": now, "cancelling": False}
    if job.cancelling:
        return {"status": "cancelled", "finished_at": now, "cancelling": False}
    fatal = (step for step in steps if step.status == "failed" and not step.spec.optional)
    first = min(fatal, key=lambda step: step.finished_at or now)
    return {"status": "failed", "finished_at": now, "error": first.error}


def is_ending(job: Job) -> bool:
    """Whether no further step starts: the job was cancelled, or a required step has failed finally."""
    return job.cancelling or any(step.status == "failed" and not step.spec.optional for step in job.steps)


def is_scheduled(job: Job) -> bool:
    """Whether the job waits for the time at which it is to start."""
    waits = job.run_at is not None and job.run == 1 and job.status == "waiting"
    return waits and not any(step.attempt or step.status in STEP_ENDED for step in job.steps)


def is_passed(step: Step) -> bool:
    """Whether the steps after it may start."""
    return step.status in STEP_PASSED or (step.status == "failed" and step.spec.optional)


def request(job: Job, step: Step, now: float) -> Step:
    """The step with its next attempt requested."""
    attempt = step.attempt + 1 if step.run == job.run else 1
    return replace(
        step, status="waiting", run=job.run, attempt=attempt, requested_at=now, dispatches=1, lease=None, due_at=None
    )


def delay(step: Step, due_at: float, error: ErrorRecord) -> Step:
    """The step, to be requested again at `due_at`."""
    return replace(step, status="delayed", due_at=due_at, error=error, lease=None)


def end(step: Step, status: Any, now: float, error: ErrorRecord | None) -> Step:
    """The step with its final status."""
    return replace(step, status=status, finished_at=now, error=error, requested_at=None, due_at=None)

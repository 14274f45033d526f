"""An example job of four steps, and builders of the events about it."""

from msgspec.structs import replace

from schemas.base import ErrorRecord, Message
from schemas.commands import SubmitJob
from schemas.jobs import Input, Job, RetryPolicy, Step, StepSpec
from schemas.step_events import (
    AttemptAccepted,
    StepEvent,
)
from tables.reducer import advance

POLICY = RetryPolicy(attempts=3, delay_s=2.0, jitter=0.0)
PROBE, LEFT, RIGHT = (
    StepSpec(name="probe", retry=POLICY),
    StepSpec(name="transcode", after=("probe",), retry=POLICY),
    StepSpec(name="thumbnails", after=("probe",), retry=POLICY),
)
DIAMOND = (PROBE, LEFT, RIGHT, StepSpec(name="noop", after=("transcode", "thumbnails"), needs=("transcode",)))
BUSY = ErrorRecord(code="tool-failed", message="The tool failed.", retriable=True)
BROKEN = ErrorRecord(code="corrupt-media", message="The file is broken.")


def submit(steps: tuple[StepSpec, ...] = DIAMOND) -> SubmitJob:
    return SubmitJob(
        job_id="job_1", asset_id="asset_1", pipeline="p", steps=steps, input=Input(object="k"), submitted_at=0.0
    )


def submitted(steps: tuple[StepSpec, ...] = DIAMOND) -> tuple[Job, list[Message]]:
    job, effects = advance(None, submit(steps), 0.0)
    assert isinstance(job, Job)
    return job, effects


def apply(job: Job, event: Message, now: float = 1.0) -> tuple[Job, list[Message]]:
    after, effects = advance(job, event, now)
    assert isinstance(after, Job)
    return after, effects


def step_of(job: Job, name: str) -> Step:
    return next(step for step in job.steps if step.spec.name == name)


def about(job: Job, name: str) -> dict[str, object]:
    step = step_of(job, name)
    return {"job_id": job.id, "asset_id": job.asset_id, "run": step.run, "step": name, "attempt": step.attempt}


def accept(job: Job, name: str, lease_id: str) -> AttemptAccepted:
    claim = {"lease_id": lease_id, "executor_id": "x", "requested_at": 0.0, "request_partition": 0}
    return AttemptAccepted(**about(job, name), **claim)  # type: ignore[arg-type]


def event_of(kind: type[StepEvent], job: Job, name: str, **more: object) -> StepEvent:
    return kind(**about(job, name), **more)  # type: ignore[arg-type]


def active(lease_id: str = "L1") -> Job:
    """A job whose probe is owned by `lease_id`."""
    job, _ = submitted()
    return apply(job, accept(job, "probe", lease_id))[0]


def kinds(effects: list[Message]) -> set[type[Message]]:
    return {type(effect) for effect in effects}


def optional(steps: tuple[StepSpec, ...], *names: str) -> tuple[StepSpec, ...]:
    return tuple(replace(spec, optional=spec.name in names) for spec in steps)

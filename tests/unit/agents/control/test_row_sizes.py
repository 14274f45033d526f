"""No sequence of events makes a row larger than the log takes, whatever texts they carry."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.control.control import Control
from schemas.base import ErrorRecord, Message
from schemas.commands import CancelJob, DeleteAsset, DeleteJob, RetryJob, SubmitJob
from schemas.facts import DeadLetter
from schemas.jobs import Input, Job, Step, StepSpec
from schemas.step_events import (
    AttemptAccepted,
    AttemptCompleted,
    AttemptFailed,
    AttemptReleased,
    AttemptSkipped,
    Claim,
    RetryDue,
)
from schemas.steps import step_kinds
from tables.bounds import MAX_OUTPUTS_BYTES, MAX_SUBMITTED_BYTES
from tables.rows import MAX_ROW_BYTES
from tests.unit.agents.control.world import Log

#: Lengths around every bound, and of the output of a tool.
LENGTHS = st.sampled_from([1, 100, 500, 1_000, 3_000, 10_000, MAX_OUTPUTS_BYTES - 20, MAX_SUBMITTED_BYTES // 2, 70_000])
TEXTS = st.builds(lambda char, length: char * length, st.sampled_from(["x", "ü", "𝄞", "\x01", '"']), LENGTHS)
NUMBERS = st.integers(0, 2)


def about(job: Job, step: Step) -> dict[str, Any]:
    place = {"job_id": job.id, "asset_id": job.asset_id, "run": step.run, "step": step.spec.name}
    return {**place, "attempt": step.attempt, "lease_id": step.lease.id if step.lease else "L"}


def accepted(job: Job, step: Step, text: str) -> Message:
    place = about(job, step) | {"lease_id": text[:120]}
    return AttemptAccepted(**place, executor_id=text[:500], requested_at=1.0, request_partition=0)


def failed(job: Job, step: Step, text: str) -> Message:
    error = ErrorRecord(code=text, message=text, detail=text, retriable=len(text) > 1)
    claim = Claim(executor_id=text[:500], requested_at=1.0, request_partition=0) if step.lease is None else None
    return AttemptFailed(**about(job, step), error=error, claim=claim)


def due(job: Job, step: Step, _text: str) -> Message:
    return RetryDue(**{name: value for name, value in about(job, step).items() if name != "lease_id"})


#: Events of an executor or of the timers about a step.
EVENTS: list[Callable[[Job, Step, str], Message]] = [
    accepted,
    failed,
    due,
    lambda job, step, text: AttemptCompleted(**about(job, step), outputs={"text": text, "more": [text]}),
    lambda job, step, text: AttemptCompleted(**about(job, step), outputs={"text": text}),
    lambda job, step, text: AttemptCompleted(
        **about(job, step), outputs={"warnings": [{"code": text, "message": text}] * 50}
    ),
    lambda job, step, text: AttemptSkipped(**about(job, step), reason=text, outputs={"hint": text}),
    lambda job, step, text: AttemptReleased(**about(job, step)),
]
#: Commands of clients.
COMMANDS: list[Callable[[Job], Message]] = [
    lambda job: CancelJob(job_id=job.id, asset_id=job.asset_id, requested_by="x" * 70_000),
    lambda job: RetryJob(job_id=job.id, asset_id=job.asset_id, run=job.run),
    lambda job: DeleteJob(job_id=job.id, asset_id=job.asset_id),
    lambda job: DeleteJob(job_id=job.id, asset_id=job.asset_id, artifacts=False),
    lambda job: DeleteAsset(asset_id=job.asset_id, requested_at=5.0),
]


def submit(number: int, asset: int, text: str) -> SubmitJob:
    kinds = list(step_kinds())
    return SubmitJob(
        job_id=f"job_{number}",
        asset_id=f"asset_{asset}",
        pipeline=text[:250],
        steps=tuple(StepSpec(name=kind, optional=asset == 1) for kind in (kinds if number % 2 else kinds[:3])),
        input=Input(url=text),
        submitted_at=float(number),
        filename=text,
        passthrough=text,
    )


Action = tuple[str, int, int, str]
ACTIONS = st.one_of(
    st.tuples(st.just("submit"), NUMBERS, NUMBERS, TEXTS),
    st.tuples(st.just("event"), st.integers(0, len(EVENTS) - 1), st.integers(0, 40), TEXTS),
    st.tuples(st.sampled_from(["fill", "ruin"]), NUMBERS, NUMBERS, TEXTS),
    st.tuples(st.just("command"), st.integers(0, len(COMMANDS) - 1), NUMBERS, st.just("")),
)


def messages(log: Log, action: Action, number: int) -> list[Message]:
    """The messages of one action for the existing jobs."""
    what, kind, which, text = action
    if what == "submit":
        return [submit(number, which, text)]
    jobs = list(log.jobs.values())
    if not jobs:
        return []
    job = jobs[which % len(jobs)]
    if what == "command":
        return [COMMANDS[kind](job)]
    if what == "event" and job.steps:
        return [EVENTS[kind](job, job.steps[which % len(job.steps)], text)]
    requested = [step for step in job.steps if step.requested_at is not None]
    if what == "ruin":
        return [failed(job, step, text) for step in requested]
    # Every step of a job as large as it may be.
    claim = Claim(executor_id="e" * 500, requested_at=1.0, request_partition=0)
    outputs = {"text": "x" * (MAX_OUTPUTS_BYTES - 11)}
    return [
        AttemptCompleted(**about(job, step) | {"lease_id": "L" * 120}, outputs=outputs, claim=claim)
        for step in requested
    ]


@settings(max_examples=200)
@given(st.lists(ACTIONS, min_size=5, max_size=30))
async def test_no_sequence_of_events_makes_a_row_larger_than_the_bound(history: list[Action]) -> None:
    log = Log()
    control: Control = await log.control()
    await log.send(control, submit(1, 0, "x"), submit(2, 0, "ü"))
    for number, action in enumerate(history, 3):
        log.now += 1.0
        for message in messages(log, action, number):
            log.published.clear()
            await log.send(control, message)
            letters = [letter.error.code for letter in log.all(DeadLetter)]
            assert "row-too-large" not in letters or isinstance(message, SubmitJob), type(message).__name__
        for rows in log.changelogs.values():
            assert max(map(len, rows.values()), default=0) <= MAX_ROW_BYTES


async def test_a_job_and_an_asset_as_large_as_they_may_be_are_carried_through() -> None:
    log = Log()
    control = await log.control()
    largest = "x" * (MAX_SUBMITTED_BYTES // 3 - 1_200)
    for number in (1, 3):
        await log.send(control, submit(number, 0, largest))
        await log.send(control, *messages(log, ("fill", 0, number // 2, ""), 0))
    assert not log.all(DeadLetter)
    assert [job.status for job in log.jobs.values()] == ["completed", "completed"]
    assert len(log.assets["asset_0"].outputs) == len(step_kinds())
    assert max(len(row) for rows in log.changelogs.values() for row in rows.values()) > MAX_ROW_BYTES // 3


async def test_a_submission_that_is_too_large_for_a_row_is_a_dead_letter_at_once() -> None:
    log = Log()
    control = await log.control()
    await log.send(control, submit(1, 0, "x" * MAX_SUBMITTED_BYTES), submit(2, 0, "x"))
    assert [letter.error.code for letter in log.all(DeadLetter)] == ["row-too-large"]
    assert {job.id: job.refused for job in log.jobs.values()} == {"job_1": True, "job_2": False}

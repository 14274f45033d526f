"""The rebuild proof accepts whatever control can have done, and nothing else."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.base import ErrorRecord, Message
from schemas.commands import CancelJob, DeleteAsset, DeleteJob, RetryJob, SubmitJob
from schemas.jobs import DeletedJob, Input, Job, StepSpec
from schemas.step_events import AttemptAccepted, AttemptCancelled, AttemptCompleted, AttemptFailed, RetryDue, StepEvent
from tables.rebuild_check import LogMessage, PartitionLog, compare
from tables.reducer import State, advance

JOB: dict[str, Any] = {"job_id": "j", "asset_id": "a"}


def submit(job_id: str = "j", owner: str | None = None) -> SubmitJob:
    return SubmitJob(
        job_id=job_id,
        asset_id="a",
        pipeline="p",
        steps=(StepSpec(name="noop"),),
        input=Input(object="k"),
        submitted_at=1.0,
        owner=owner,
    )


def about(attempt: int, run: int = 1) -> dict[str, Any]:
    return {**JOB, "run": run, "step": "noop", "attempt": attempt}


def accepted(attempt: int, run: int = 1) -> AttemptAccepted:
    lease_id = f"L{run}{attempt}"
    return AttemptAccepted(
        **about(attempt, run), lease_id=lease_id, executor_id="x", requested_at=1.0, request_partition=0
    )


EVENTS: list[StepEvent] = [
    accepted(1),
    AttemptFailed(**about(1), lease_id="L11", error=ErrorRecord(code="c", message="m", retriable=True)),
    RetryDue(**about(1)),
    accepted(2),
    AttemptCancelled(**about(2), lease_id="L12"),
    AttemptCompleted(**about(2), lease_id="L12", outputs={"a": 1}),
    accepted(1, 2),
    AttemptCompleted(**about(1, 2), lease_id="L21"),
]
COMMANDS: list[Message] = [submit(), CancelJob(**JOB), RetryJob(**JOB, run=1), DeleteJob(**JOB)]


def dated(messages: list[Any], chance: random.Random) -> list[LogMessage]:
    at = 10.0
    messages = []
    for message in messages:
        at += chance.uniform(0.0, 2.0)
        messages.append(LogMessage(at, message))
    return messages


@given(st.integers(0, 10**9), st.integers(1, len(COMMANDS)), st.integers(0, len(EVENTS)))
def test_any_order_in_which_control_may_have_read_is_explained(seed: int, commands: int, events: int) -> None:
    chance = random.Random(seed)
    log = PartitionLog(dated(COMMANDS[:commands], chance), dated(list(EVENTS[:events]), chance), 0.0)
    left, right = list(log.commands), list(log.events)
    row: State = None
    while left or right:
        source = left if left and (not right or chance.random() < 0.5) else right
        entry = source.pop(0)
        row, _ = advance(row, entry.message, entry.at)
    rows = {"j": row} if row is not None else {}
    result = compare(rows, log)
    assert result.differing == []
    assert result.log_checksum == result.table_checksum


def one_job() -> tuple[Job, PartitionLog]:
    log = PartitionLog([LogMessage(10.0, submit())], [LogMessage(11.0, EVENTS[0])], 0.0)
    row: State = None
    for entry in (*log.commands, *log.events):
        row, _ = advance(row, entry.message, entry.at)
    assert isinstance(row, Job)
    return row, log


@pytest.mark.parametrize(
    "change",
    [
        lambda row: replace(row, status="completed"),
        lambda row: replace(row, updated_at=row.updated_at + 0.001),
        lambda row: replace(row, steps=(replace(row.steps[0], attempt=2),)),
        lambda row: DeletedJob(id="j", asset_id="a", pipeline="p", run=1, deleted_at=12.0),
    ],
)
def test_a_row_that_the_log_does_not_make_is_found(change: Any) -> None:
    row, log = one_job()
    assert compare({"j": row}, log).differing == []
    result = compare({"j": change(row)}, log)
    assert len(result.differing) == 1
    assert result.log_checksum != result.table_checksum


def test_a_missing_row_and_a_row_without_a_submission_are_found() -> None:
    row, log = one_job()
    assert "in the table nothing" in compare({}, log).differing[0]
    assert len(compare({"j": row, "k": replace(row, id="k")}, log).differing) == 1


def test_jobs_from_before_the_log_begins_are_counted_and_not_checked() -> None:
    row, log = one_job()
    result = compare({"j": replace(row, status="failed")}, log._replace(complete_from=10.5))
    assert (result.jobs, result.unchecked, result.differing) == (0, 1, [])


def test_applied_offsets_are_not_compared() -> None:
    row, log = one_job()
    assert compare({"j": replace(row, at={"media.commands": 7})}, log).differing == []


def test_a_job_of_anothers_asset_may_have_been_refused_and_no_other() -> None:
    row, log = one_job()
    foreign = log._replace(commands=[*log.commands, LogMessage(12.0, submit("k", owner="eve"))])
    assert compare({"j": row}, foreign).differing == []
    own = log._replace(commands=[*log.commands, LogMessage(12.0, submit("k"))])
    assert len(compare({"j": row}, own).differing) == 1


def test_an_asset_goes_with_all_its_jobs_or_with_none() -> None:
    row, log = one_job()
    ended, _ = advance(row, AttemptCompleted(**about(1), lease_id="L11"), 12.0)
    events = [*log.events, LogMessage(12.0, AttemptCompleted(**about(1), lease_id="L11"))]
    log = PartitionLog([*log.commands, LogMessage(13.0, DeleteAsset(asset_id="a", requested_at=13.0))], events, 0.0)
    assert isinstance(ended, Job)
    assert compare({"j": ended}, log).differing == []
    deleted, _ = advance(ended, DeleteJob(**JOB, artifacts=False), 13.0)
    assert isinstance(deleted, DeletedJob)
    assert compare({"j": deleted}, log).differing == []

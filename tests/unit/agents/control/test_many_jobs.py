"""Assets with more jobs than their row lists: control goes on for everybody, and nothing is forgotten."""

import time
from typing import Any

from agents.control.control import Control
from schemas.base import ErrorRecord, Message
from schemas.commands import CancelJob, DeleteAsset, DeleteJob, SubmitJob
from schemas.facts import AssetDeleted, DeadLetter, JobDeleted
from schemas.jobs import Input, StepSpec
from schemas.removals import RemoveArtifacts
from schemas.step_events import AttemptAccepted, AttemptCompleted, AttemptFailed, StepRequested
from streams.kafka.envelope import BATCH_HEADERS, batch, structured
from tables.assets import LISTED_JOBS, MAX_ASSET_JOBS
from tables.rows import MAX_ROW_BYTES
from tests.unit.agents.control.world import Log


def submit(number: int, asset: str = "asset_1") -> SubmitJob:
    return SubmitJob(
        job_id=f"job_{number:06}",
        asset_id=asset,
        pipeline="noop",
        steps=(StepSpec(name="noop"),),
        input=Input(object="k"),
        submitted_at=1_000.0 + number,
    )


def about(number: int) -> dict[str, Any]:
    place = {"asset_id": "asset_1", "run": 1, "step": "noop", "attempt": 1}
    return {**place, "job_id": f"job_{number:06}", "lease_id": f"L{number}"}


def accept(number: int) -> AttemptAccepted:
    return AttemptAccepted(**about(number), executor_id="e", requested_at=1.0, request_partition=0)


def complete(number: int) -> list[Message]:
    return [accept(number), AttemptCompleted(**about(number), outputs={"of": number})]


def fail(number: int) -> list[Message]:
    return [accept(number), AttemptFailed(**about(number), error=ErrorRecord(code="corrupt-media", message="It is."))]


def state(log: Log) -> tuple[str, str | None]:
    asset = log.assets["asset_1"]
    return asset.status, asset.reason


def largest_row(log: Log) -> int:
    return max(len(row) for rows in log.changelogs.values() for row in rows.values())


async def send_batched(log: Log, control: Control, *messages: Message) -> None:
    """One record for many messages, as an outbox makes them."""
    for start in range(0, len(messages), 256):
        log.commands.append(messages[start])
        events = [
            structured(message, event_id=f"e{len(log.commands)}-{n}", source="test", subject="asset_1")
            for n, message in enumerate(messages[start : start + 256])
        ]
        await control.handle(log.record(len(log.commands) - 1, batch(events), BATCH_HEADERS))


async def test_five_thousand_jobs_on_one_asset_leave_control_deciding_for_everybody() -> None:
    log = Log()
    control = await log.control()
    await send_batched(log, control, *(submit(n) for n in range(5_000)))
    await log.send(control, submit(9_999, "asset_2"))
    assert len(log.jobs) == 5_001 and not log.all(DeadLetter)
    assert len({request.job_id for request in log.all(StepRequested)}) == 5_001
    assert list(log.assets["asset_1"].jobs) == [f"job_{n:06}" for n in range(5_000 - LISTED_JOBS, 5_000)]
    assert largest_row(log) <= MAX_ROW_BYTES
    assert log.applied_offset() == len(log.commands) - 1


async def test_all_of_them_end_and_the_asset_says_what_its_jobs_are_at_after_a_restart_too() -> None:
    log, count = Log(), LISTED_JOBS + 20
    control = await log.control()
    await send_batched(log, control, *(submit(n) for n in range(count)))
    assert state(log) == ("UPLOADED", None)
    await log.send(control, accept(0))
    assert state(log) == ("PROCESSING", None), "a job that the row does not list counts too"
    control = await log.control()
    await log.send(control, *fail(1))
    assert state(log) == ("PROCESSING", None)
    await log.send(control, fail(0)[1], *(event for n in range(2, count) for event in fail(n)))
    assert state(log) == ("FAILED", "corrupt-media")


async def test_what_a_job_published_stays_when_its_row_lists_it_no_more() -> None:
    log, count = Log(), LISTED_JOBS + 5
    control = await log.control()
    await log.send(control, submit(0), *complete(0))
    for n in range(1, count):
        await log.send(control, submit(n), *fail(n))
    asset = log.assets["asset_1"]
    assert "job_000000" not in asset.jobs and (asset.status, asset.outputs) == ("READY", {"noop": {"of": 0}})
    control = await log.control()
    await log.send(control, submit(count), *complete(count))
    await log.send(control, DeleteJob(job_id=f"job_{count:06}", asset_id="asset_1"))
    asset = log.assets["asset_1"]
    assert (asset.status, asset.outputs) == ("READY", {"noop": {"of": 0}})
    await log.send(control, DeleteJob(job_id="job_000000", asset_id="asset_1"))
    assert (log.assets["asset_1"].status, log.assets["asset_1"].outputs) == ("FAILED", {})


async def test_a_deletion_makes_room_in_the_row_for_the_newest_of_the_others() -> None:
    log, count = Log(), LISTED_JOBS + 10
    control = await log.control()
    for n in range(count):
        await log.send(control, submit(n), *fail(n))
    control = await log.control()
    await log.send(control, *(DeleteJob(job_id=f"job_{n:06}", asset_id="asset_1") for n in (count - 1, count - 2, 3)))
    left = [f"job_{n:06}" for n in range(count - 2) if n != 3]
    assert list(log.jobs) == left
    assert sorted(log.assets["asset_1"].jobs) == left[-LISTED_JOBS:]
    await log.send(control, *(DeleteJob(job_id=job_id, asset_id="asset_1") for job_id in left))
    assert not log.jobs and not log.assets


async def test_an_asset_goes_with_all_its_jobs_and_files_however_many_they_are() -> None:
    log, count = Log(), LISTED_JOBS + 30
    control = await log.control()
    await send_batched(log, control, *(submit(n) for n in range(count)))
    for n in range(1, count):
        await log.send(control, *complete(n))
    await log.send(control, DeleteAsset(asset_id="asset_1", requested_at=5.0))
    assert log.assets and len(log.jobs) == count, "a job that is listed no more still waits"
    await log.send(control, CancelJob(job_id="job_000000", asset_id="asset_1"))
    control = await log.control()
    await log.send(control, DeleteAsset(asset_id="asset_1", requested_at=5.0))
    assert not log.assets and not log.jobs and len(log.deleted) == count
    assert len(log.all(JobDeleted)) == count and len(log.all(AssetDeleted)) == 1
    assert [order.whole_asset for order in log.all(RemoveArtifacts)] == [True]
    await log.send(control, submit(count), *complete(count))
    assert list(log.assets["asset_1"].jobs) == [f"job_{count:06}"]


async def test_too_many_jobs_of_one_asset_are_refused_as_dead_letters_and_deleting_makes_room() -> None:
    log = Log()
    control = await log.control()
    await send_batched(log, control, *(submit(n) for n in range(MAX_ASSET_JOBS)))
    assert not log.all(DeadLetter)
    await log.send(control, submit(MAX_ASSET_JOBS), submit(MAX_ASSET_JOBS + 1, "asset_2"))
    [letter] = log.all(DeadLetter)
    assert letter.error.code == "too-many-jobs"
    assert len(log.jobs) == MAX_ASSET_JOBS + 2
    assert log.jobs[f"job_{MAX_ASSET_JOBS:06}"].refused
    await send_batched(log, control, *(event for n in range(MAX_ASSET_JOBS) for event in fail(n)))
    began = time.process_time()
    await log.send(control, DeleteAsset(asset_id="asset_1", requested_at=5.0))
    assert time.process_time() - began < 4.0, "a deletion holds everybody up"
    await log.send(control, submit(MAX_ASSET_JOBS + 2))
    assert set(log.jobs) == {f"job_{MAX_ASSET_JOBS + n:06}" for n in (0, 1, 2)}


async def test_deleting_the_newest_of_many_first_holds_nobody_up() -> None:
    log, count = Log(), 3_000
    control = await log.control()
    await send_batched(log, control, *(submit(n) for n in range(count)))
    await send_batched(log, control, *(event for n in range(count) for event in complete(n)))
    began = time.process_time()
    for n in reversed(range(count - 100, count)):
        await log.send(control, DeleteJob(job_id=f"job_{n:06}", asset_id="asset_1"))
    assert time.process_time() - began < 4.0
    assert log.assets["asset_1"].outputs == {"noop": {"of": count - 101}}

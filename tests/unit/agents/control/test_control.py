"""A record that ends control again and again is passed over in the end, and everything behind it is carried out."""

from typing import Any

import pytest
from msgspec.structs import replace

from agents.control import decisions
from agents.control.record_changes import RecordChanges
from schemas.base import ErrorRecord, Message
from schemas.commands import CancelJob, SubmitJob
from schemas.facts import DeadLetter
from schemas.jobs import Input, StepSpec
from schemas.step_events import AttemptAccepted, AttemptFailed
from streams.kafka.envelope import BATCH_HEADERS, batch, structured
from streams.worker.quarantine import LIMIT
from tables.assets import LISTED_JOBS
from tables.log_clock import LogClock
from tests.unit.agents.control.world import Ended, Log

BROKEN = ErrorRecord(code="corrupt-media", message="The file is broken.")


def submit(number: int) -> SubmitJob:
    return SubmitJob(
        job_id=f"job_{number}",
        asset_id=f"asset_{number}",
        pipeline="noop",
        steps=(StepSpec(name="noop"),),
        input=Input(object="a"),
        submitted_at=1.0,
    )


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where control fails: "deciding" about job_1, or "writing" what came of it."""
    faults: list[str] = []
    apply, write = decisions.apply, RecordChanges.write

    def deciding(changes: RecordChanges, message: Any) -> None:
        apply(changes, message)
        if "deciding" in faults and getattr(message, "job_id", "") == "job_1":
            raise RuntimeError("cannot decide")

    def writing(self: Any, at: Any) -> bool:
        if "writing" in faults and "job_1" in self._jobs:
            raise RuntimeError("cannot write")
        return write(self, at)

    monkeypatch.setattr(decisions, "apply", deciding)
    monkeypatch.setattr(RecordChanges, "write", writing)
    return faults


def poison(message: Message) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Value and headers of a record of one entry."""
    return batch([structured(message, event_id="poison", source="test", subject="asset_1")]), BATCH_HEADERS


async def lives(log: Log, *messages: Message) -> int:
    """Ends of control until it has read the messages, each a record of its own."""
    first = len(log.commands)
    log.commands += messages
    for ends in range(20):
        control = await log.control()
        try:
            await log.replay(control, range(first, len(log.commands)))
        except Ended:
            continue
        return ends
    raise AssertionError("control never gets past it")


@pytest.mark.parametrize("fault", ["deciding", "writing"])
async def test_a_record_that_ends_control_is_passed_over_and_life_goes_on(poisoned: list[str], fault: str) -> None:
    poisoned.append(fault)
    log = Log()
    assert await lives(log, submit(0), submit(1), submit(2)) <= LIMIT
    assert set(log.jobs) == {"job_0", "job_2"}
    [letter] = log.all(DeadLetter)
    assert (letter.topic, letter.partition, letter.offset) == ("media.commands", 0, 1)
    assert letter.error.code == {"deciding": "internal-error", "writing": "record-quarantined"}[fault]
    assert log.applied_offset() == 2


async def test_only_the_entry_is_lost_that_does_it(poisoned: list[str]) -> None:
    """Web groups up to 256 commands into one record."""
    poisoned.append("deciding")
    log = Log()
    events = [structured(submit(n), event_id=str(n), source="test", subject=f"asset_{n}") for n in range(3)]
    record = log.record(0, batch(events), BATCH_HEADERS)
    for _ in range(LIMIT - 1):
        with pytest.raises(Ended):
            await (await log.control()).handle(record)
    await (await log.control()).handle(record)
    assert set(log.jobs) == {"job_0", "job_2"}
    assert [letter.error.code for letter in log.all(DeadLetter)] == ["internal-error"]


async def test_an_entry_that_is_passed_over_leaves_its_asset_as_it_was(poisoned: list[str]) -> None:
    """Of a job that its asset's row does not list: the asset's status follows from an index in memory."""
    log, record_id = Log(), LISTED_JOBS + 1
    jobs = [replace(submit(n), asset_id="asset_1", submitted_at=float(n)) for n in range(1, record_id + 1)]
    running: dict[str, Any] = {"job_id": "job_1", "asset_id": "asset_1", "run": 1, "step": "noop", "attempt": 1}
    accepted = AttemptAccepted(**running, lease_id="L", executor_id="e", requested_at=1.0, request_partition=0)
    control = await log.control()
    await log.send(control, *jobs, accepted)
    assert "job_1" not in log.assets["asset_1"].jobs and log.assets["asset_1"].status == "PROCESSING"
    poisoned.append("deciding")
    record = log.record(len(log.commands), *poison(AttemptFailed(**running, lease_id="L", error=BROKEN)))
    for _ in range(LIMIT - 1):
        with pytest.raises(Ended):
            await (await log.control()).handle(record)
    control = await log.control()
    await control.handle(record)
    log.commands.append(jobs[0])
    assert log.jobs["job_1"].status == "active"
    await log.send(control, *(CancelJob(job_id=job.job_id, asset_id="asset_1") for job in jobs[1:]))
    assert log.assets["asset_1"].status == "PROCESSING", "its job still runs"


async def test_a_fault_that_is_gone_at_the_next_start_costs_nothing(poisoned: list[str]) -> None:
    poisoned.append("writing")
    log = Log()
    with pytest.raises(Ended):
        await log.send(await log.control(), submit(1))
    poisoned.clear()
    await log.replay(await log.control(), [0])
    assert set(log.jobs) == {"job_1"}
    assert log.all(DeadLetter) == []


async def test_rows_that_somebody_else_has_written_end_nobody() -> None:
    log = Log()
    await log.send(await log.control(), submit(1), submit(2))
    log.changelogs["jobs"][b"job_1"] = b"\xff not a row"
    log.changelogs["jobs"] |= {b"@x": b"{}", b"": b"{}", b"\xff": b"{}", b"~": b"[]", b"job_9": b"[" * 20_000}
    log.changelogs["assets"][b"asset_2"] = b"null"
    control = await log.control()
    await log.send(control, submit(1), replace(submit(4), asset_id="asset_2"), submit(3))
    assert b"job_3" in log.changelogs["jobs"]
    assert [letter.error.code for letter in log.all(DeadLetter)] == ["unreadable-row", "unreadable-row"]


async def test_a_record_whose_date_was_lost_does_not_set_the_clock() -> None:
    log, elapsed_s = Log(), [0.0]
    control = await log.control()
    control._timers.clock = LogClock(lambda: elapsed_s[0])
    await log.send(control, submit(1))
    elapsed_s[0] = 60.0
    await control.handle(log.record(1, b"damaged", [("kinolog-unparsable", b"the batch is damaged")], at=0.0))
    assert control._timers.clock.now() == log.now + 60.0
    assert [letter.error.code for letter in log.all(DeadLetter)] == ["unparsable-record"]

"""Attempts are claimed before they run, kept alive while they run, and ended once."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from agents.executor.capacity import Slots
from agents.executor.reports import StepReporter
from agents.executor.running import Request, RunningAttempts, StepRuntime
from processors.contract import Work
from schemas.step_events import (
    AttemptAccepted,
    AttemptCancelled,
    AttemptCompleted,
    AttemptHeartbeat,
    AttemptReleased,
    Claim,
    StepCaptioned,
    StepProgressed,
    StepRequested,
)
from schemas.steps import StepKind
from schemas.transcribe import Caption
from streams.kafka import producer
from streams.kafka.outbox import Outbox
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from streams.settings import Settings
from tests.conftest import eventually
from tests.unit.agents.executor.fakes import HEAVY, PLAIN, FakeLog, FakeProcessor, request, resources_below

QUICK = StepKind(name="quick", slots=1, instant=True, files=False)


class Dead(Exception):
    """The process would have ended."""


def fatal(reason: str, **facts: Any) -> None:
    raise Dead(reason)


class Floor:
    """Running attempts over fakes."""

    def __init__(self, folder: Path, heartbeat_s: float = 0.0) -> None:
        self.log = FakeLog()
        self.go = asyncio.Event()
        self.processors = {kind.name: FakeProcessor(self._work) for kind in (PLAIN, HEAVY, QUICK)}
        self.runtimes = {k.name: StepRuntime(k, Slots(k.slots), self.processors[k.name]) for k in (PLAIN, HEAVY, QUICK)}
        self.outbox = Outbox(self.log.send)
        reporter = StepReporter(self.outbox, names(Settings()), 8, "exec-1", session_id="s1", fatal=fatal)
        self.attempts = RunningAttempts(self.runtimes, resources_below(folder), reporter, heartbeat_s)

    async def _work(self, work: Work) -> None:
        work.report(0.5, {})
        await self.go.wait()

    async def accept(self, *requests: StepRequested) -> None:
        admitted = [self.attempts.admit(Request(r, f"event/{r.job_id}")) for r in requests]
        await self.attempts.begin([attempt for attempt in admitted if attempt is not None])

    async def published(self, kind: type[Any], count: int = 1) -> list[Any]:
        await eventually(lambda: len(self.log.of(kind)) >= count)
        return self.log.of(kind)

    def step_event_records(self) -> list[int]:
        """Partition of each."""
        return [partition for topic, partition in self.log.records if topic == "media.step-events"]

    async def close(self) -> None:
        self.log.is_available.set()
        self.go.set()
        await eventually(lambda: len(self.attempts) == 0)
        await self.outbox.close()


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    floor = Floor(tmp_path)
    yield floor
    await floor.close()


async def test_an_attempt_is_claimed_worked_on_and_ended(floor: Floor) -> None:
    await floor.accept(request())
    accepted = floor.log.of(AttemptAccepted)[0]
    assert (accepted.executor_id, accepted.session_id, accepted.requested_at) == ("exec-1", "s1", 1.0)
    floor.go.set()
    completed = (await floor.published(AttemptCompleted))[0]
    assert completed.lease_id == accepted.lease_id
    await eventually(lambda: len(floor.attempts) == 0 and floor.runtimes["plain"].slots.free == PLAIN.slots)


async def test_the_log_names_how_an_attempt_ended(floor: Floor, caplog: pytest.LogCaptureFixture) -> None:
    floor.go.set()
    with caplog.at_level(logging.INFO, "agents.executor.running"):
        await floor.accept(request())
        await floor.published(AttemptCompleted)
    assert [record.message for record in caplog.records] == ["step completed"]


async def test_no_work_begins_before_the_broker_has_the_claim(floor: Floor) -> None:
    floor.log.is_available.clear()
    accepting = asyncio.create_task(floor.accept(request()))
    for _ in range(20):
        await asyncio.sleep(0)
    assert floor.processors["plain"].works == []
    floor.log.is_available.set()
    await accepting
    await eventually(lambda: floor.processors["plain"].works)
    floor.go.set()


async def test_a_group_is_claimed_in_one_record(floor: Floor) -> None:
    await floor.accept(*[request(f"job_{n}", "quick") for n in range(50)])
    assert floor.step_event_records() == [partition_of("asset_1", 8)]
    floor.go.set()
    await floor.published(AttemptCompleted, 50)


async def test_what_takes_no_time_is_claimed_and_ended_with_one_event(floor: Floor) -> None:
    floor.go.set()
    await floor.accept(*[request(f"job_{n}", "quick") for n in range(200)])
    assert len(floor.step_event_records()) == 1
    completed = floor.log.of(AttemptCompleted)
    assert len({event.lease_id for event in completed}) == 200 and not floor.log.of(AttemptAccepted)
    assert [event.claim for event in completed] == 200 * [
        Claim(executor_id="exec-1", requested_at=1.0, session_id="s1")
    ]
    assert len(floor.attempts) == 0 and floor.runtimes["quick"].slots.free == QUICK.slots


async def test_what_could_take_no_time_and_takes_some_is_claimed_before_it_ends(floor: Floor) -> None:
    await floor.accept(request(step="quick"))
    accepted = floor.log.of(AttemptAccepted)[0]
    floor.go.set()
    completed = (await floor.published(AttemptCompleted))[0]
    assert (completed.lease_id, completed.claim) == (accepted.lease_id, None)


async def test_what_is_stopped_before_its_first_step_is_claimed_and_released(floor: Floor) -> None:
    def stop() -> None:
        for attempt in floor.attempts._by_key.values():
            attempt.stop("released")

    accepting = asyncio.create_task(floor.accept(request(step="quick")))
    asyncio.get_running_loop().call_soon(stop)
    await accepting
    events = [m for m in floor.log.messages if not isinstance(m, StepProgressed)]
    assert [type(m) for m in events] == [AttemptAccepted, AttemptReleased]
    assert len(floor.attempts) == 0


async def test_a_repeat_of_what_is_running_is_dropped_and_another_attempt_is_not(floor: Floor) -> None:
    await floor.accept(request(), request())
    await floor.accept(request(), request(attempt=2))
    assert [a.attempt for a in floor.log.of(AttemptAccepted)] == [1, 2]
    floor.go.set()
    await floor.published(AttemptCompleted, 2)


async def test_running_attempts_are_kept_alive_until_they_end(floor: Floor) -> None:
    await floor.accept(request())
    floor.attempts.tick()
    beat = (await floor.published(AttemptHeartbeat))[0]
    assert beat.lease_id == floor.log.of(AttemptAccepted)[0].lease_id
    floor.go.set()
    await eventually(lambda: len(floor.attempts) == 0)
    floor.attempts.tick()
    assert len(floor.log.of(AttemptHeartbeat)) == 1


async def test_heartbeats_do_not_pile_up_while_the_broker_is_away(floor: Floor) -> None:
    await floor.accept(request())
    floor.log.is_available.clear()
    for _ in range(5):
        floor.attempts.tick()
        await asyncio.sleep(0)
    floor.log.is_available.set()
    floor.go.set()
    await floor.published(AttemptCompleted)
    assert len(floor.log.of(AttemptHeartbeat)) == 1


async def test_progress_is_sent_as_it_comes(floor: Floor) -> None:
    await floor.accept(request())
    event = (await floor.published(StepProgressed))[0]
    assert event.progress == 0.5
    assert ("media.progress", partition_of("asset_1", 8)) in floor.log.records
    floor.go.set()
    await floor.published(AttemptCompleted)


async def test_a_revoked_lease_is_stopped_and_answered(floor: Floor) -> None:
    await floor.accept(request())
    await eventually(lambda: floor.processors["plain"].works)
    lease_id = floor.log.of(AttemptAccepted)[0].lease_id
    floor.attempts.revoke("lease_of_somebody_else", "cancelled")
    floor.attempts.revoke(lease_id, "cancelled")
    floor.attempts.revoke(lease_id, "cancelled")
    assert [c.lease_id for c in await floor.published(AttemptCancelled)] == [lease_id]
    await eventually(lambda: len(floor.attempts) == 0)


async def test_a_revoke_that_overtakes_the_claim_is_not_missed(floor: Floor) -> None:
    floor.log.is_available.clear()
    accepting = asyncio.create_task(floor.accept(request()))
    await eventually(lambda: len(floor.attempts) == 1)
    (lease_id,) = floor.attempts._by_lease
    floor.attempts.revoke(lease_id, "cancelled")
    floor.log.is_available.set()
    await accepting
    await floor.published(AttemptCancelled)
    assert floor.processors["plain"].works == []


async def test_what_cannot_be_delivered_now_is_delivered_later(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.executor.reports.RETRY_S", 0.0)
    floor.log.errors = [KafkaConnectionError(), KafkaConnectionError()]
    await floor.accept(request())
    floor.log.errors = [KafkaConnectionError()]
    floor.go.set()
    await floor.published(AttemptCompleted)
    assert len(floor.log.of(AttemptAccepted)) == 1


async def test_what_is_over_already_is_not_forgotten_before_it_is_delivered(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.executor.reports.RETRY_S", 0.0)
    floor.go.set()
    floor.log.errors = [KafkaConnectionError(), KafkaConnectionError()]
    await floor.accept(request(step="quick"))
    assert len(floor.log.of(AttemptCompleted)) == 1


async def test_a_message_that_can_never_be_delivered_ends_the_process(floor: Floor) -> None:
    assert producer.is_permanent(MessageSizeTooLargeError())
    floor.log.errors = [MessageSizeTooLargeError()]
    with pytest.raises(Dead):
        await floor.accept(request())
    floor.attempts._by_key.clear()  # the process would be gone, and its attempts with it


async def test_draining_lets_running_work_end(floor: Floor) -> None:
    await floor.accept(request())
    draining = asyncio.create_task(floor.attempts.drain(60.0))
    floor.go.set()
    await draining
    assert floor.log.of(AttemptCompleted)
    assert not floor.log.of(AttemptReleased)


async def test_draining_releases_what_does_not_end_in_time(floor: Floor) -> None:
    await floor.accept(request())
    await eventually(lambda: floor.processors["plain"].works)
    await floor.attempts.drain(0.01)
    assert len(floor.log.of(AttemptReleased)) == 1
    assert len(floor.attempts) == 0


async def test_draining_releases_at_once_what_still_waits_for_the_cpus(floor: Floor) -> None:
    await floor.accept(request("job_1", "heavy"), request("job_2", "heavy"))
    await eventually(lambda: floor.processors["heavy"].works)
    draining = asyncio.create_task(floor.attempts.drain(60.0))
    released = await floor.published(AttemptReleased)
    assert [r.job_id for r in released] == ["job_2"]
    floor.go.set()
    await draining
    assert [c.job_id for c in floor.log.of(AttemptCompleted)] == ["job_1"]


async def test_events_of_one_attempt_have_ids_of_their_own(floor: Floor) -> None:
    tick: Callable[[], None] = floor.attempts.tick
    await floor.accept(request())
    tick()
    await floor.published(AttemptHeartbeat)
    tick()
    await floor.published(AttemptHeartbeat, 2)
    floor.go.set()
    await floor.published(AttemptCompleted)
    assert len(set(floor.log.ids)) == len(floor.log.ids)


async def test_captions_are_sent_at_once_and_not_after_the_end(tmp_path: Path) -> None:
    floor = Floor(tmp_path)
    kept: list[Work] = []

    async def transcribe(work: Work) -> None:
        kept.append(work)
        work.on_caption(Caption(id=0, start_ms=0, end_ms=900, text="Hello."))
        await floor.go.wait()

    floor.processors["plain"].does = transcribe
    await floor.accept(request())
    await eventually(lambda: floor.log.of(StepCaptioned))
    floor.go.set()
    await eventually(lambda: floor.log.of(AttemptCompleted))
    kept[0].on_caption(Caption(id=1, start_ms=900, end_ms=1000, text="Late."))
    await floor.outbox.flush()
    [event] = floor.log.of(StepCaptioned)
    assert (event.caption.text, event.lease_id) == ("Hello.", floor.log.of(AttemptAccepted)[0].lease_id)

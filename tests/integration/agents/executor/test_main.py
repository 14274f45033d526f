"""The executor as a process against a real broker: what control would see of it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec.structs import replace

from schemas.base import Message
from schemas.executors import ExecutorReport, PokeExecutor
from schemas.jobs import Input
from schemas.removals import RemoveArtifacts
from schemas.step_events import (
    AttemptAccepted,
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptHeartbeat,
    AttemptReleased,
    LeaseRevoked,
    StepProgressed,
    StepRequested,
)
from streams.broker.process import Broker
from streams.kafka.admin import apply_topics
from streams.kafka.envelope import BATCH_HEADERS, Entry, batch, read, structured
from streams.kafka.topics import Names, names
from streams.settings import Settings, to_environ
from tests.conftest import eventually

#: A cold start of the process on a busy machine, and the first fetch of new topics.
START_S = 60.0


def request(job_id: str, attempt: int = 1, **params: Any) -> StepRequested:
    return StepRequested(
        job_id=job_id,
        asset_id=f"asset_{job_id}",
        run=1,
        step="noop",
        attempt=attempt,
        input=Input(object="uploads/none"),
        requested_at=1.0,
        params=params,
    )


class Log:
    """A stand-in for control: sends requests and revokes, receives all other messages."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topics: Names = names(settings)
        self.received: list[Message] = []
        #: The latest report of the executor.
        self.report: ExecutorReport | None = None
        self.dead_letters: list[bytes] = []

    async def open(self, stack: AsyncExitStack) -> None:
        await apply_topics(self.settings)
        self._producer = AIOKafkaProducer(bootstrap_servers=self.settings.bootstrap)
        await self._producer.start()
        stack.push_async_callback(self._producer.stop)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.bootstrap, auto_offset_reset="earliest")
        await self._consumer.start()
        stack.push_async_callback(self._consumer.stop)
        places = [
            TopicPartition(topic, partition)
            for topic in (self.topics.step_events, self.topics.progress, self.topics.dead_letters)
            for partition in range(self.settings.partitions)
        ]
        self._consumer.assign([*places, TopicPartition(self.topics.executors, 0)])
        listening = asyncio.create_task(self._listen())
        stack.callback(listening.cancel)

    async def _listen(self) -> None:
        async for record in self._consumer:
            if record.topic == self.topics.dead_letters:
                self.dead_letters.append(record.value)
            else:
                entries = read(record.value, record.headers)
                messages = [entry.message for entry in entries if isinstance(entry, Entry)]
                self.received += messages
                self.report = next((m for m in reversed(messages) if isinstance(m, ExecutorReport)), self.report)

    async def request(self, *requests: StepRequested) -> None:
        """Send requests to the executor, as soon as it reports."""
        report = await self.session()
        addressed = [replace(request, to=report.session_id, dispatcher=report.poke) for request in requests]
        events = [
            structured(r, event_id=f"{r.job_id}/{r.attempt}", source="test", subject=r.asset_id) for r in addressed
        ]
        await self.raw(self.topics.step_requests, batch(events), report.address)

    async def session(self, other_than: str = "") -> ExecutorReport:
        """The report of the executor; of a later session than `other_than`."""
        await eventually(lambda: self.report is not None and self.report.session_id != other_than, START_S)
        assert self.report is not None
        return self.report

    async def poke(self, number: int) -> None:
        report = await self.session()
        poke = PokeExecutor(to=report.session_id, poke=number)
        event = structured(poke, event_id=f"p{number}", source="test", subject="e")
        await self.raw(self.topics.step_requests, batch([event]), report.address)

    async def raw(self, topic: str, value: bytes, partition: int = 0) -> None:
        await self._producer.send_and_wait(topic, value, partition=partition, headers=BATCH_HEADERS)

    async def revoke(self, accepted: AttemptAccepted) -> None:
        message = LeaseRevoked(
            job_id=accepted.job_id,
            asset_id=accepted.asset_id,
            run=accepted.run,
            step=accepted.step,
            attempt=accepted.attempt,
            lease_id=accepted.lease_id,
            reason="cancelled",
        )
        await self.raw(self.topics.control, batch([structured(message, event_id="r", source="test", subject="a")]))

    def of(self, kind: type[Message], job_id: str) -> list[Any]:
        return [m for m in self.received if isinstance(m, kind) and getattr(m, "job_id", None) == job_id]


CHECKOUT = str(Path(__file__).resolve().parents[4])


class Process:
    """`kinolog executor` as a child."""

    def __init__(self, settings: Settings, lane: str) -> None:
        self._environ = to_environ(settings)
        self._lane = lane
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from streams.cli.main import main; main()",
            "executor",
            "--lane",
            self._lane,
            env={**os.environ, "PYTHONPATH": CHECKOUT, **self._environ},
        )

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self._child is not None
        with suppress(ProcessLookupError):
            self._child.send_signal(number)
        return await asyncio.wait_for(self._child.wait(), 30)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def log(broker: Broker, make_settings: Callable[..., Settings], stack: AsyncExitStack, request: Any) -> Log:
    lane = f"lane-{abs(hash(request.node.name)) % 10**8}"
    settings = make_settings(
        KINOLOG_KAFKA__BOOTSTRAP=broker.bootstrap,
        KINOLOG_TOPIC_PREFIX=f"{lane}.",
        KINOLOG_EXECUTOR__LANES=f'{{"{lane}": ["noop"]}}',
        KINOLOG_EXECUTOR__SLOTS='{"noop": 4}',
        KINOLOG_EXECUTOR__DRAIN_S="1",
        KINOLOG_LEASE__HEARTBEAT_S="0.5",
    )
    log = Log(settings)
    await log.open(stack)
    return log


@pytest.fixture
async def executor(log: Log, stack: AsyncExitStack) -> Process:
    (lane,) = log.settings.executor.lanes
    process = Process(log.settings, lane)
    await process.start()
    stack.push_async_callback(process.end, signal.SIGKILL)
    return process


async def test_a_request_is_accepted_worked_on_and_completed(log: Log, executor: Process) -> None:
    await log.request(request("job_1", progress_messages=3, sleep_s=0.3))
    completed = (await eventually(lambda: log.of(AttemptCompleted, "job_1"), START_S))[0]
    accepted = log.of(AttemptAccepted, "job_1")[0]
    report = await log.session()
    assert (completed.lease_id, completed.attempt) == (accepted.lease_id, 1)
    assert (accepted.executor_id, accepted.session_id) == (report.executor_id, report.session_id)
    await eventually(lambda: [p.progress for p in log.of(StepProgressed, "job_1")] == [1 / 3, 2 / 3, 1.0])


async def test_many_requests_in_one_record_all_complete(log: Log, executor: Process) -> None:
    jobs = [f"job_{n}" for n in range(4)]
    await log.request(*[request(job) for job in jobs])
    await eventually(lambda: all(log.of(AttemptCompleted, job) for job in jobs), START_S)
    endings = [log.of(AttemptCompleted, job) for job in jobs]
    assert [len(events) for events in endings] == [1] * 4
    assert all(events[0].claim is not None for events in endings) and not log.of(AttemptAccepted, "job_1")


async def test_a_bad_entry_becomes_a_dead_letter_and_its_neighbours_complete(log: Log, executor: Process) -> None:
    report = await log.session()
    good = structured(replace(request("job_1"), to=report.session_id), event_id="e", source="test", subject="a")
    await log.raw(log.topics.step_requests, batch([b'{"no": "event"}', good]), report.address)
    await log.raw(log.topics.step_requests, b"\x00garbage", report.address)
    await log.raw(log.topics.control, b"\x00garbage")
    await log.request(request("../../etc"))
    await log.request(request("job_2"))
    await eventually(lambda: log.of(AttemptCompleted, "job_1") and log.of(AttemptCompleted, "job_2"), START_S)
    await eventually(lambda: len(log.dead_letters) >= 3)


async def test_a_failing_step_says_why(log: Log, executor: Process) -> None:
    await log.request(request("job_1", fail_with="broken"))
    await log.request(request("job_2", sleep_s="long"))
    failed = (await eventually(lambda: log.of(AttemptFailed, "job_1"), START_S))[0]
    assert (failed.error.code, failed.error.retriable) == ("broken", True)
    refused = (await eventually(lambda: log.of(AttemptFailed, "job_2")))[0]
    assert (refused.error.code, refused.error.retriable) == ("invalid-params", False)


async def test_a_lease_is_kept_alive_and_its_revoke_ends_the_work(log: Log, executor: Process) -> None:
    await log.request(request("job_1", sleep_s=60.0))
    accepted = (await eventually(lambda: log.of(AttemptAccepted, "job_1"), START_S))[0]
    await eventually(lambda: len(log.of(AttemptHeartbeat, "job_1")) >= 2)
    await log.revoke(accepted)
    cancelled = (await eventually(lambda: log.of(AttemptCancelled, "job_1"), 2))[0]
    assert cancelled.lease_id == accepted.lease_id


async def test_a_repeated_request_is_not_worked_on_twice(log: Log, executor: Process) -> None:
    await log.request(request("job_1", sleep_s=1.0))
    await eventually(lambda: log.of(AttemptAccepted, "job_1"), START_S)
    await log.request(request("job_1", sleep_s=1.0), request("job_2"))
    await eventually(lambda: log.of(AttemptCompleted, "job_1") and log.of(AttemptCompleted, "job_2"))
    assert len(log.of(AttemptAccepted, "job_1")) == 1


async def test_what_there_is_no_slot_for_is_refused_and_reported(log: Log, executor: Process) -> None:
    for n in range(10):
        await log.request(request(f"job_{n}", sleep_s=1.5))

    def refused() -> list[str]:
        reports = [m for m in log.received if isinstance(m, ExecutorReport)]
        return [attempt.job_id for report in reports for attempt in report.refused]

    await eventually(lambda: refused() == ["job_8", "job_9"])
    await eventually(lambda: all(log.of(AttemptCompleted, f"job_{n}") for n in range(8)), START_S)
    assert not log.of(AttemptAccepted, "job_8") and not log.of(AttemptAccepted, "job_9")


async def test_a_poke_is_answered_and_requests_of_earlier_dispatchers_are_ignored(log: Log, executor: Process) -> None:
    report = await log.session()
    await log.poke(7)
    await eventually(lambda: log.report is not None and log.report.poke == 7)
    late = replace(request("job_late"), to=report.session_id, dispatcher=6)
    event = structured(late, event_id="late", source="test", subject="a")
    await log.raw(log.topics.step_requests, batch([event]), report.address)
    await log.request(request("job_1"))
    await eventually(lambda: log.of(AttemptCompleted, "job_1"))
    assert not log.of(AttemptCompleted, "job_late")


async def test_sigterm_lets_short_work_end_and_releases_the_rest(log: Log, executor: Process) -> None:
    """Short work that fails meanwhile says so. Source: kestra-io/kestra#17129, where it stayed active for ever."""
    short = request("job_2", sleep_s=0.7), request("job_3", sleep_s=0.7, fail_with="bad-luck")
    await log.request(request("job_1", sleep_s=60.0), *short)
    jobs = ("job_1", "job_2", "job_3")
    await eventually(lambda: all(log.of(AttemptAccepted, job) for job in jobs), START_S)
    assert await executor.end() == 0
    await eventually(lambda: log.of(AttemptReleased, "job_1") and log.of(AttemptCompleted, "job_2"))
    [failed] = await eventually(lambda: log.of(AttemptFailed, "job_3"))
    assert failed.error.code == "bad-luck"
    assert not log.of(AttemptReleased, "job_2") and not log.of(AttemptReleased, "job_3")


async def test_a_restarted_executor_ignores_what_was_given_to_the_session_before(log: Log, executor: Process) -> None:
    before = await log.session()
    await executor.end(signal.SIGKILL)
    await log.request(request("job_old"))
    await executor.start()
    after = await log.session(other_than=before.session_id)
    assert (after.executor_id, after.address, after.seq) == (before.executor_id, before.address, 1)
    await log.request(request("job_new"))
    await eventually(lambda: log.of(AttemptCompleted, "job_new"), START_S)
    assert not log.of(AttemptCompleted, "job_old")


def with_steps(settings: Settings, *steps: str) -> Settings:
    """The same lane, with these steps."""
    (lane,) = settings.executor.lanes
    return replace(settings, executor=replace(settings.executor, lanes={lane: steps}))


async def test_an_executor_that_comes_back_with_other_steps_offers_these_at_once(
    log: Log, stack: AsyncExitStack
) -> None:
    (lane,) = log.settings.executor.lanes
    before = Process(with_steps(log.settings, "store"), lane)
    stack.push_async_callback(before.end, signal.SIGKILL)
    await before.start()
    session = await log.session()
    assert set(session.steps) == {"store"}
    await before.end(signal.SIGKILL)  # the broker counts its session on
    after = Process(with_steps(log.settings, "store", "noop"), lane)
    stack.push_async_callback(after.end, signal.SIGKILL)
    await after.start()
    assert set((await log.session(other_than=session.session_id)).steps) == {"store", "noop"}
    await log.request(request("job_1"))
    await eventually(lambda: log.of(AttemptCompleted, "job_1"), START_S)


async def test_files_that_nothing_points_at_are_removed_and_newer_ones_stay(log: Log, stack: AsyncExitStack) -> None:
    store = log.settings.data_path / "store"
    old = [store / "assets/a1/noop/1-old/x.ts", store / "uploads/a1/source", store / "assets/a2/noop/1-mine/x.ts"]
    new = [store / "assets/a1/noop/1-new/x.ts", store / "assets/a2/noop/1-other/x.ts"]
    for path in (*old, *new):
        path.parent.mkdir(parents=True)
        path.write_text("x")
        os.utime(path, (1000.0, 1000.0) if path in old else None)
    whole = RemoveArtifacts(asset_id="a1", deleted_at=2000.0, whole_asset=True)
    one = RemoveArtifacts(asset_id="a2", deleted_at=2000.0, job_id="j", prefixes=("assets/a2/noop/1-mine",))
    events = [structured(order, event_id="r", source="test", subject="a") for order in (whole, one)]
    await log.raw(log.topics.removals, batch(events))
    process = Process(log.settings, "default")
    await process.start()
    stack.push_async_callback(process.end, signal.SIGKILL)
    await eventually(lambda: not any(path.exists() for path in old), START_S)
    assert all(path.exists() for path in new)

"""The executor as a process against a real broker: what control would see of it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec.structs import replace

from schemas.base import Message
from schemas.jobs import Input, Priority
from schemas.removals import RemoveArtifacts
from schemas.step_events import (
    AttemptAccepted,
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptHeartbeat,
    AttemptReleased,
    LeaseRevoked,
    QueueChanged,
    StepProgressed,
    StepRequested,
)
from streams.broker.process import Broker
from streams.kafka.admin import apply_topics
from streams.kafka.envelope import BATCH_HEADERS, Entry, batch, read, structured
from streams.kafka.topics import Names, names
from streams.settings import Settings, to_environ

Eventually = Callable[..., Awaitable[Any]]

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
        self._consumer.assign(places)
        listening = asyncio.create_task(self._listen())
        stack.callback(listening.cancel)

    async def _listen(self) -> None:
        async for record in self._consumer:
            if record.topic == self.topics.dead_letters:
                self.dead_letters.append(record.value)
            else:
                entries = read(record.value, record.headers)
                self.received += [entry.message for entry in entries if isinstance(entry, Entry)]

    async def request(self, *requests: StepRequested, priority: Priority = "normal") -> None:
        events = [
            structured(r, event_id=f"{r.job_id}/{r.attempt}", source="test", subject=r.asset_id) for r in requests
        ]
        await self.raw(self.topics.step_requests("noop", priority), batch(events))

    async def raw(self, topic: str, value: bytes) -> None:
        await self._producer.send_and_wait(topic, value, partition=0, headers=BATCH_HEADERS)

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

    async def change_queue(self, at: float, *, paused: bool) -> None:
        message = QueueChanged(step="noop", paused=paused, changed_at=at)
        await self.raw(self.topics.control, batch([structured(message, event_id="q", source="test", subject="q")]))

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


async def test_a_request_is_accepted_worked_on_and_completed(
    log: Log, executor: Process, eventually: Eventually
) -> None:
    await log.request(request("job_1", progress_messages=3, sleep_s=0.3))
    completed = (await eventually(lambda: log.of(AttemptCompleted, "job_1"), START_S))[0]
    accepted = log.of(AttemptAccepted, "job_1")[0]
    assert (completed.lease_id, completed.attempt, accepted.request_partition) == (accepted.lease_id, 1, 0)
    await eventually(lambda: [p.progress for p in log.of(StepProgressed, "job_1")] == [1 / 3, 2 / 3, 1.0])


async def test_many_requests_in_one_record_all_complete(log: Log, executor: Process, eventually: Eventually) -> None:
    jobs = [f"job_{n}" for n in range(100)]
    await log.request(*[request(job) for job in jobs])
    await eventually(lambda: all(log.of(AttemptCompleted, job) for job in jobs), START_S)
    endings = [log.of(AttemptCompleted, job) for job in jobs]
    assert [len(events) for events in endings] == [1] * 100
    assert all(events[0].claim is not None for events in endings) and not log.of(AttemptAccepted, "job_1")


async def test_a_bad_entry_becomes_a_dead_letter_and_its_neighbours_complete(
    log: Log, executor: Process, eventually: Eventually
) -> None:
    good = structured(request("job_1"), event_id="e", source="test", subject="a")
    await log.raw(log.topics.step_requests("noop"), batch([b'{"no": "event"}', good]))
    await log.raw(log.topics.step_requests("noop"), b"\x00garbage")
    await log.raw(log.topics.control, b"\x00garbage")
    await log.request(request("../../etc"))
    await log.request(request("job_2"))
    await eventually(lambda: log.of(AttemptCompleted, "job_1") and log.of(AttemptCompleted, "job_2"), START_S)
    await eventually(lambda: len(log.dead_letters) >= 3)


async def test_a_failing_step_says_why(log: Log, executor: Process, eventually: Eventually) -> None:
    await log.request(request("job_1", fail_with="broken"))
    await log.request(request("job_2", sleep_s="long"))
    failed = (await eventually(lambda: log.of(AttemptFailed, "job_1"), START_S))[0]
    assert (failed.error.code, failed.error.retriable) == ("broken", True)
    refused = (await eventually(lambda: log.of(AttemptFailed, "job_2")))[0]
    assert (refused.error.code, refused.error.retriable) == ("invalid-params", False)


async def test_a_lease_is_kept_alive_and_its_revoke_ends_the_work(
    log: Log, executor: Process, eventually: Eventually
) -> None:
    await log.request(request("job_1", sleep_s=60.0))
    accepted = (await eventually(lambda: log.of(AttemptAccepted, "job_1"), START_S))[0]
    await eventually(lambda: len(log.of(AttemptHeartbeat, "job_1")) >= 2)
    await log.revoke(accepted)
    cancelled = (await eventually(lambda: log.of(AttemptCancelled, "job_1"), 2))[0]
    assert cancelled.lease_id == accepted.lease_id


async def test_a_repeated_request_is_not_worked_on_twice(log: Log, executor: Process, eventually: Eventually) -> None:
    await log.request(request("job_1", sleep_s=1.0))
    await eventually(lambda: log.of(AttemptAccepted, "job_1"), START_S)
    await log.request(request("job_1", sleep_s=1.0), request("job_2"))
    await eventually(lambda: log.of(AttemptCompleted, "job_1") and log.of(AttemptCompleted, "job_2"))
    assert len(log.of(AttemptAccepted, "job_1")) == 1


async def test_no_more_is_accepted_than_there_is_room_for(log: Log, executor: Process, eventually: Eventually) -> None:
    for n in range(6):
        await log.request(request(f"job_{n}", sleep_s=1.5))
    await eventually(lambda: sum(bool(log.of(AttemptAccepted, f"job_{n}")) for n in range(6)) == 4, START_S)
    assert not log.of(AttemptCompleted, "job_0")
    await eventually(lambda: all(log.of(AttemptCompleted, f"job_{n}") for n in range(6)), START_S)


async def test_sigterm_lets_short_work_end_and_releases_the_rest(
    log: Log, executor: Process, eventually: Eventually
) -> None:
    await log.request(request("job_1", sleep_s=60.0), request("job_2", sleep_s=0.7))
    await eventually(lambda: log.of(AttemptAccepted, "job_1") and log.of(AttemptAccepted, "job_2"), START_S)
    assert await executor.end() == 0
    await eventually(lambda: log.of(AttemptReleased, "job_1") and log.of(AttemptCompleted, "job_2"))
    assert not log.of(AttemptReleased, "job_2")


async def test_a_killed_executor_takes_up_what_it_had_not_accepted(
    log: Log, executor: Process, eventually: Eventually
) -> None:
    await log.request(request("job_1"))
    await eventually(lambda: log.of(AttemptCompleted, "job_1"), START_S)
    await executor.end(signal.SIGKILL)
    await log.request(request("job_2"))
    await executor.start()
    await eventually(lambda: log.of(AttemptCompleted, "job_2"), START_S)


def with_steps(settings: Settings, *steps: str) -> Settings:
    """The same lane, with these steps."""
    (lane,) = settings.executor.lanes
    return replace(settings, executor=replace(settings.executor, lanes={lane: steps}))


async def working_on_store(log: Log, process: Process, eventually: Eventually) -> None:
    """Start the executor, and return once it takes requests for `store`."""
    await process.start()
    invalid = replace(request("job_store"), step="store", params={"to": 1})
    event = structured(invalid, event_id="s", source="test", subject="a")
    await log.raw(log.topics.step_requests("store"), batch([event]))
    await eventually(lambda: log.of(AttemptFailed, "job_store"), START_S)


@pytest.mark.parametrize("steps", [("store",), ("store", "probe")])
async def test_an_executor_that_comes_back_with_other_steps_works_on_these(
    log: Log, stack: AsyncExitStack, eventually: Eventually, steps: tuple[str, ...]
) -> None:
    (lane,) = log.settings.executor.lanes
    before = Process(with_steps(log.settings, *steps), lane)
    stack.push_async_callback(before.end, signal.SIGKILL)
    await working_on_store(log, before, eventually)
    await log.request(request("job_1"))
    await before.end(signal.SIGKILL)  # the broker counts its session on
    after = Process(with_steps(log.settings, "store", "noop"), lane)
    stack.push_async_callback(after.end, signal.SIGKILL)
    await after.start()
    await eventually(lambda: log.of(AttemptCompleted, "job_1"), START_S)


#: Long enough to deliver a message, and to accept a request that must not be accepted.
DELIVERY_S = 1.5


async def test_a_paused_queue_is_left_alone_until_it_is_resumed_also_by_who_starts_meanwhile(
    log: Log, executor: Process, eventually: Eventually
) -> None:
    await log.request(request("job_1"))
    await eventually(lambda: log.of(AttemptCompleted, "job_1"), START_S)
    await log.change_queue(5.0, paused=True)
    await asyncio.sleep(DELIVERY_S)  # nothing is accepted
    await log.request(request("job_2"))
    await asyncio.sleep(DELIVERY_S)
    await executor.end(signal.SIGKILL)
    await executor.start()
    await log.request(request("job_3"))
    await asyncio.sleep(4 * DELIVERY_S)
    assert not log.of(AttemptAccepted, "job_2") and not log.of(AttemptAccepted, "job_3")
    await log.change_queue(6.0, paused=False)
    await eventually(lambda: log.of(AttemptCompleted, "job_2") and log.of(AttemptCompleted, "job_3"), START_S)


async def test_files_that_nothing_points_at_are_removed_and_newer_ones_stay(
    log: Log, stack: AsyncExitStack, eventually: Eventually
) -> None:
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


async def test_a_high_request_overtakes_waiting_ones_and_low_ones_come_after_all_others(
    log: Log, executor: Process, eventually: Eventually
) -> None:
    await log.request(request("first"))
    await eventually(lambda: log.of(AttemptCompleted, "first"), START_S)
    normal = [f"normal_{n}" for n in range(16)]
    for job in normal:
        await log.request(request(job, sleep_s=0.5))
    for n in range(4):
        await log.request(request(f"low_{n}", sleep_s=0.1), priority="low")
    await log.request(request("high", sleep_s=0.1), priority="high")
    jobs = [*normal, *(f"low_{n}" for n in range(4)), "high"]
    await eventually(lambda: all(log.of(AttemptCompleted, job) for job in jobs), START_S)
    accepted = [m for m in log.received if isinstance(m, AttemptAccepted)]
    order = [m.job_id for m in accepted]
    assert order.index("high") < order.index("normal_10")
    assert order.index("low_3") > order.index("normal_8")
    lines = {m.job_id: m.request_partition for m in accepted}
    partitions = log.settings.partitions
    assert (lines["normal_0"], lines["high"], lines["low_0"]) == (0, partitions, 2 * partitions)

"""Control as a process against a real broker: commands and events in, rows, requests, facts and dead letters out."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.base import Message
from schemas.commands import CancelJob, SubmitJob
from schemas.envelope import CloudEvent
from schemas.facts import DeadLetter, JobCompleted, StepPublished
from schemas.jobs import Input, StepSpec
from schemas.step_events import LeaseRevoked, StepAccepted, StepCompleted, StepRequested
from streams.admin import apply_topics
from streams.broker import Broker
from streams.envelope import BATCH_HEADERS, Entry, batch, read, structured
from streams.partition import partition_of
from streams.settings import Settings, to_environ
from streams.topics import names

Eventually = Callable[..., Awaitable[Any]]

#: A cold start of the process, and its first assignment.
START_S = 60.0


def submit(job_id: str, asset_id: str, owner: str | None = None) -> SubmitJob:
    return SubmitJob(
        job_id=job_id,
        asset_id=asset_id,
        pipeline="noop",
        steps=(StepSpec(name="noop"),),
        input=Input(object="uploads/none"),
        submitted_at=time.time(),
        owner=owner,
    )


class Outside:
    """Everybody but control: says commands and step events, hears what control says."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.topics = settings, names(settings)
        self.heard: list[tuple[CloudEvent, Message]] = []

    async def open(self, stack: AsyncExitStack) -> None:
        self._producer = AIOKafkaProducer(bootstrap_servers=self.settings.bootstrap)
        await self._producer.start()
        stack.push_async_callback(self._producer.stop)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.bootstrap, auto_offset_reset="earliest")
        await self._consumer.start()
        stack.push_async_callback(self._consumer.stop)
        keyed = (self.topics.events, self.topics.dead_letters, self.topics.step_requests("noop"))
        places = [TopicPartition(topic, number) for topic in keyed for number in range(self.settings.partitions)]
        self._consumer.assign([*places, TopicPartition(self.topics.control, 0)])
        listening = asyncio.create_task(self._listen())
        stack.callback(listening.cancel)

    async def _listen(self) -> None:
        async for record in self._consumer:
            entries = read(record.value, record.headers)
            self.heard += [(entry.event, entry.message) for entry in entries if isinstance(entry, Entry)]

    async def say(self, message: Any, partition: int | None = None) -> None:
        """On the topic where messages of its kind belong, and on the partition of its asset unless told otherwise."""
        commands = isinstance(message, SubmitJob | CancelJob)
        topic = self.topics.commands if commands else self.topics.step_events
        place = partition_of(message.asset_id, self.settings.partitions) if partition is None else partition
        event = structured(message, event_id=f"e-{time.time_ns()}", source="test", subject=message.asset_id)
        await self._producer.send_and_wait(topic, batch([event]), partition=place, headers=BATCH_HEADERS)

    def all(self, kind: type[Any], **fields: Any) -> list[Any]:
        """Messages heard of that kind with those fields."""
        found = [message for _, message in self.heard if isinstance(message, kind)]
        return [m for m in found if all(getattr(m, name) == value for name, value in fields.items())]

    def letters(self) -> list[str]:
        """Codes of the dead letters."""
        return [letter.error.code for letter in self.all(DeadLetter)]


@pytest.fixture
async def outside(
    fresh_broker: Broker, make_settings: Callable[..., Settings]
) -> AsyncIterator[tuple[Outside, Callable[[], Awaitable[None]]]]:
    """Control runs; and a function that kills it and starts it again."""
    settings = make_settings(KINOLOG_KAFKA__BOOTSTRAP=fresh_broker.bootstrap)
    await apply_topics(settings)
    process: list[asyncio.subprocess.Process] = []

    async def start() -> None:
        command = [sys.executable, "-m", "streams.cli", "control"]
        process[:] = [await asyncio.create_subprocess_exec(*command, env={**os.environ, **to_environ(settings)})]

    async def restart() -> None:
        process[0].kill()
        await process[0].wait()
        await start()

    async with AsyncExitStack() as stack:
        world = Outside(settings)
        await world.open(stack)
        await start()
        yield world, restart
        process[0].terminate()
        assert await asyncio.wait_for(process[0].wait(), 20) == 0


async def test_a_job_runs_once_whatever_is_said_twice_or_after_a_kill(
    outside: tuple[Outside, Callable[[], Awaitable[None]]], eventually: Eventually
) -> None:
    world, restart = outside
    for _ in range(2):
        await world.say(submit("job_1", "asset_1"))
    asked: list[StepRequested] = await eventually(lambda: world.all(StepRequested, job_id="job_1"), START_S)
    about: dict[str, Any] = {"job_id": "job_1", "asset_id": "asset_1", "run": 1, "step": "noop", "attempt": 1}
    accepted = StepAccepted(
        **about, lease_id="first", executor_id="e1", requested_at=asked[0].requested_at, request_partition=0
    )
    await world.say(accepted)
    await world.say(
        StepAccepted(
            **about, lease_id="second", executor_id="e2", requested_at=asked[0].requested_at, request_partition=0
        )
    )
    await eventually(lambda: world.all(LeaseRevoked, lease_id="second"), 10)
    assert not world.all(LeaseRevoked, lease_id="first")

    await restart()
    await world.say(StepCompleted(**about, lease_id="second", outputs={"from": "a zombie"}))
    done = StepCompleted(**about, lease_id="first", outputs={"from": "the owner"})
    await world.say(done)
    await eventually(lambda: world.all(JobCompleted, job_id="job_1"), START_S)
    await world.say(done)
    await world.say(submit("job_2", "asset_1"))
    await eventually(lambda: world.all(StepRequested, job_id="job_2"), 10)
    published = {event.id for event, message in world.heard if isinstance(message, StepPublished)}
    assert len(published) == 1
    assert world.all(StepPublished)[0].outputs == {"from": "the owner"}
    assert world.letters() == []


async def test_what_may_not_be_is_a_dead_letter_with_its_code(
    outside: tuple[Outside, Callable[[], Awaitable[None]]], eventually: Eventually
) -> None:
    world, _ = outside
    await world.say(submit("job_mine", "asset_mine", owner="anna"))
    await world.say(submit("job_theirs", "asset_mine", owner="bert"))
    right = partition_of("asset_mine", world.settings.partitions)
    await world.say(submit("job_lost", "asset_mine"), partition=(right + 1) % world.settings.partitions)
    await eventually(lambda: set(world.letters()) == {"asset-of-another-owner", "wrong-partition"}, START_S)
    await eventually(lambda: world.all(StepRequested, job_id="job_mine"), 10)
    assert not world.all(StepRequested, job_id="job_theirs")

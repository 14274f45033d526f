"""A world for tests of control against a real broker: sends commands and events, receives what control publishes."""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.base import Message
from schemas.commands import CancelJob, SubmitJob
from schemas.envelope import CloudEvent
from schemas.executors import ExecutorReport, PokeExecutor, StepSlots
from schemas.facts import DeadLetter
from schemas.jobs import Input, StepSpec
from streams.ids import new_id
from streams.kafka.envelope import BATCH_HEADERS, Entry, batch, read, structured
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from streams.settings import Settings, to_environ
from tables.queues import QueueCommand, queue_key

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
    """All other processes: sends commands and step events, receives what control publishes."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.topics = settings, names(settings)
        self.received: list[tuple[CloudEvent, Message]] = []
        self.session_id = new_id("session")

    async def open(self, stack: AsyncExitStack) -> None:
        self._producer = AIOKafkaProducer(bootstrap_servers=self.settings.bootstrap)
        await self._producer.start()
        stack.push_async_callback(self._producer.stop)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.bootstrap, auto_offset_reset="earliest")
        await self._consumer.start()
        stack.push_async_callback(self._consumer.stop)
        self._consumer.assign(self._places())
        for work in (self._listen(), self._report()):
            stack.callback(asyncio.create_task(work).cancel)

    def _places(self) -> list[TopicPartition]:
        keyed = (self.topics.events, self.topics.dead_letters)
        places = [TopicPartition(topic, number) for topic in keyed for number in range(self.settings.partitions)]
        return [*places, TopicPartition(self.topics.step_requests, 0), TopicPartition(self.topics.control, 0)]

    async def _report(self) -> None:
        """The reports of an executor, which answers pokes and accepts nothing by itself."""
        for seq in itertools.count(1):
            report = ExecutorReport(
                executor_id="e1",
                session_id=self.session_id,
                address=0,
                lane="default",
                version="1",
                seq=seq,
                steps={"noop": StepSlots(slots=4096)},
                poke=max((poke.poke for poke in self.all(PokeExecutor, to=self.session_id)), default=0),
            )
            event = structured(report, event_id=f"r-{seq}", source="test", subject="e1")
            await self._producer.send_and_wait(
                self.topics.executors, batch([event]), partition=0, headers=BATCH_HEADERS
            )
            await asyncio.sleep(0.2)

    async def _listen(self) -> None:
        async for record in self._consumer:
            entries = read(record.value, record.headers)
            self.received += [(entry.event, entry.message) for entry in entries if isinstance(entry, Entry)]

    async def send(self, message: Any, partition: int | None = None) -> None:
        """Send to the topic of the message's type, and to the partition of its asset unless another one is given."""
        commands = isinstance(message, SubmitJob | CancelJob | QueueCommand)
        topic = self.topics.commands if commands else self.topics.step_events
        subject = getattr(message, "asset_id", None) or queue_key(message.step)
        place = partition_of(subject, self.settings.partitions) if partition is None else partition
        event = structured(message, event_id=f"e-{time.time_ns()}", source="test", subject=subject)
        await self._producer.send_and_wait(topic, batch([event]), partition=place, headers=BATCH_HEADERS)

    def all(self, kind: type[Any], **fields: Any) -> list[Any]:
        """Received messages of that type with those fields."""
        messages = [message for _, message in self.received if isinstance(message, kind)]
        return [m for m in messages if all(getattr(m, name) == value for name, value in fields.items())]

    def letters(self) -> list[str]:
        """Codes of the dead letters."""
        return [letter.error.code for letter in self.all(DeadLetter)]


class Control:
    """Control as a process that is restarted whenever it exits."""

    def __init__(self, settings: Settings, log: Path, command: tuple[str, ...]) -> None:
        self._settings, self._log, self._command = settings, log, command
        #: Exit codes of unexpected exits.
        self.ends: list[int] = []
        self._keeping: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def _start(self) -> asyncio.subprocess.Process:
        environ = {**os.environ, **to_environ(self._settings)}
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *self._command, env=environ, stderr=log
            )
        return self._process

    async def _keep(self) -> None:
        while True:
            process = await self._start()
            self.ends.append(await process.wait())

    async def start(self) -> None:
        """Start it and keep it running."""
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._keeping is not None
        self._keeping.cancel()
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self._process.terminate()
        return await asyncio.wait_for(self._process.wait(), 20)

    async def kill(self) -> None:
        """SIGKILL, and start it again. It may end by itself at the same moment."""
        process = self._process
        assert process is not None
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        while self._process is process:
            await asyncio.sleep(0.01)
        with contextlib.suppress(ValueError):
            self.ends.remove(-signal.SIGKILL)

    def log(self) -> str:
        """Its log."""
        return self._log.read_text(errors="replace")


@asynccontextmanager
async def control_and_world(
    settings: Settings,
    log: Path,
    command: tuple[str, ...] = ("streams.cli", "control"),
    kind: type[Control] = Control,
) -> AsyncIterator[tuple[Control, Outside]]:
    """A running control and its world. Control must exit with 0 on SIGTERM."""
    async with AsyncExitStack() as stack:
        world = Outside(settings)
        await world.open(stack)
        control = kind(settings, log, command)
        await control.start()
        try:
            yield control, world
        finally:
            code = await control.stop()
        assert code == 0, control.log()[-3000:]

"""Fakes that the tests of the agents share."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from aiokafka.errors import KafkaError

from agents.executor.attempts import Attempt, AttemptIdentity
from agents.executor.capacity import CpuBudget, CpuTicket
from agents.executor.execution import AttemptResources
from agents.executor.scratch import Scratch
from agents.executor.sources import Sources
from processors.contract import Work
from processors.storage.local_store import LocalStore
from schemas.base import Message
from schemas.jobs import Input
from schemas.step_events import StepRequested
from schemas.steps import StepKind
from streams.kafka.envelope import BATCH_HEADERS, Entry, batch, read, structured

PLAIN = StepKind(name="plain", slots=2)
HEAVY = StepKind(name="heavy", slots=2, heavy=True)


class Outputs(msgspec.Struct, frozen=True):
    """What the fake processor gives."""

    poster: str


class FakeProcessor:
    """Runs a given coroutine function on its work."""

    def __init__(self, does: Callable[[Work], Awaitable[Any]]) -> None:
        self.does = does
        self.works: list[Work] = []

    async def process(self, work: Work) -> Outputs:
        self.works.append(work)
        await self.does(work)
        return Outputs(poster=work.key("poster.jpg"))


class FakeLog:
    """A broker in memory; it refuses while `errors` has something to raise."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.ids: list[str] = []
        self.records: list[tuple[str, int]] = []
        self.errors: list[KafkaError] = []
        #: Deliveries wait until it is set.
        self.is_available = asyncio.Event()
        self.is_available.set()

    async def send(self, topic: str, partition: int, _key: Any, value: bytes, headers: Any) -> Awaitable[None]:
        if self.errors:
            raise self.errors.pop(0)
        return asyncio.ensure_future(self._deliver(topic, partition, value, headers))

    async def _deliver(self, topic: str, partition: int, value: bytes, headers: Any) -> None:
        await self.is_available.wait()
        self.records.append((topic, partition))
        entries = [entry for entry in read(value, headers) if isinstance(entry, Entry)]
        self.messages += [entry.message for entry in entries]
        self.ids += [entry.event.id for entry in entries]

    def of(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kind)]


def request(job_id: str = "job_1", step: str = "plain", attempt: int = 1, **changes: Any) -> StepRequested:
    fields = {"run": 1, "input": Input(object="uploads/a"), "requested_at": 1.0, **changes}
    return StepRequested(job_id=job_id, asset_id="asset_1", step=step, attempt=attempt, **fields)


def entry(message: Message) -> bytes:
    """An encoded event."""
    return structured(message, event_id="e", source="test", subject="asset_1")


def record(*entries: bytes) -> Any:
    """A Kafka record of these events."""
    value = batch(entries)
    return SimpleNamespace(value=value, headers=BATCH_HEADERS, partition=1, topic="t", offset=7, key=None)


def attempt_for(
    requested: StepRequested, kind: StepKind, lease_id: str = "lease_1", ticket: CpuTicket | None = None
) -> Attempt:
    """An accepted request."""
    return Attempt(AttemptIdentity(requested, kind, lease_id, "e"), ticket)


def resources_below(folder: Path, cpus: int = 4) -> AttemptResources:
    """Resources over real folders, with one object `uploads/a`."""
    store = LocalStore(folder / "store")
    path = store.local_path("uploads/a")
    path.parent.mkdir(parents=True)
    path.write_text("media")
    return AttemptResources(
        store=store, scratch=Scratch(folder / "scratch"), sources=Sources(store, ()), budget=CpuBudget(cpus)
    )

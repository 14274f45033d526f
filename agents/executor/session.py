"""ExecutorSession: one start of this process, as the dispatcher knows it by its reports on `media.executors`."""

import asyncio
import zlib
from collections.abc import Callable, Mapping

from aiokafka.errors import KafkaError

from agents.executor.reports import Fatal
from agents.executor.running import StepRuntime
from processors.contract import is_able
from schemas.executors import MAX_CACHED, MAX_LISTED, ExecutorReport, HeldAttempt, StepSlots
from schemas.step_events import StepRequested
from streams.ids import new_id
from streams.kafka.envelope import BATCH_HEADERS, batch, structured
from streams.kafka.producer import Producer
from streams.kafka.topics import names
from streams.release import release
from streams.settings import Settings

#: Seconds between reports, at least and at most. Three missed ones: the executor counts as silent.
_LEAST_S, _MOST_S = 0.05, 2.0


def address_of(executor_id: str, request_partitions: int) -> int:
    """The partition of the request topic that an executor reads. Several may read the same one."""
    return zlib.crc32(executor_id.encode()) % request_partitions


class ExecutorSession:
    """Sends the reports of one process: on change, else every two seconds."""

    def __init__(
        self,
        settings: Settings,
        lane: str,
        executor_id: str,
        *,
        home: str,
        runtimes: Mapping[str, StepRuntime],
        cpus: int,
        producer: Producer,
        fatal: Fatal,
    ) -> None:
        self._topic, self._producer, self._fatal = names(settings).executors, producer, fatal
        self.id, self.executor_id, self._lane, self._home = new_id("session"), executor_id, lane, home
        self.address = address_of(executor_id, settings.request_partitions)
        self._runtimes = runtimes
        self._short_turns = settings.executor.short_turns
        #: Whether an attempt of the step runs that is not a short one.
        self.runs_at_length: Callable[[str], bool] = lambda _: False
        self._cpus = cpus
        #: Returns the attempts that were accepted and have not ended.
        self.held: Callable[[], list[HeldAttempt]] = list
        #: Returns the isolation of tools, or "" before any was needed.
        self.isolation: Callable[[], str] = str
        #: Returns at most so many assets whose large source is on this machine's disk, the latest first.
        self.cached: Callable[[int], tuple[str, ...]] = lambda _most: ()
        #: Number of the last poke, and of the last one that was answered.
        self.poke = self._answered = 0
        self.is_draining = False
        #: Whether the store is there. Without it nothing is accepted: all work would fail here, and quickly.
        self.has_store = True
        self._seq = 0
        #: Refused since the last report.
        self._refused: list[HeldAttempt] = []
        self._changed = asyncio.Event()

    def change(self) -> None:
        """Report soon: what runs has changed."""
        self._changed.set()

    def poked(self, number: int) -> None:
        """A dispatcher starts: requests of earlier ones do not count any more."""
        self.poke = max(self.poke, number)

    def answer(self, number: int) -> None:
        """Answer a poke: what was accepted before it is on the log."""
        self._answered = max(self._answered, number)
        self.change()

    def refuse(self, requested: StepRequested) -> None:
        """There is no slot for a request: the dispatcher gives it to another executor."""
        refused = HeldAttempt(
            job_id=requested.job_id, run=requested.run, step=requested.step, attempt=requested.attempt
        )
        self._refused.append(refused)
        self.change()

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            self._changed.clear()
            await self._report()
            await asyncio.sleep(_LEAST_S)
            try:
                async with asyncio.timeout(_MOST_S - _LEAST_S):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _report(self) -> None:
        """Returns when the broker has the report."""
        self._seq += 1
        event = structured(
            self._current(), event_id=f"{self.id}/{self._seq}", source=f"kinolog/{self.executor_id}", subject=self.id
        )
        try:
            await self._producer.deliver(self._topic, 0, self.executor_id.encode(), batch([event]), BATCH_HEADERS)
        except KafkaError as error:
            self._fatal("a report can never be delivered", error=repr(error))

    def _current(self) -> ExecutorReport:
        refused, self._refused = self._refused, []
        return ExecutorReport(
            executor_id=self.executor_id,
            session_id=self.id,
            home=self._home,
            address=self.address,
            lane=self._lane,
            version=release(),
            seq=self._seq,
            steps={step: self._offer(runtime) for step, runtime in self._runtimes.items()},
            attempts=tuple(self.held()[:MAX_LISTED]),
            cpus=self._cpus,
            short_turns=self._short_turns,
            sandbox=self.isolation(),
            draining=self.is_draining,
            poke=self._answered,
            refused=tuple(refused[:MAX_LISTED]),
            cached=self.cached(MAX_CACHED),
        )

    def _offer(self, runtime: StepRuntime) -> StepSlots:
        """A short attempt of a step whose model is taken for long would keep the short turn and wait."""
        kind = runtime.kind
        short = kind.heavy and not (kind.one_model and self.runs_at_length(kind.name))
        able = self.has_store and is_able(runtime.processor)
        return StepSlots(slots=runtime.slots.size if able else 0, short=short and able)

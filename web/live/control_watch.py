"""Whether control decides: by its reports, and by how far the log is applied. No clock of control's is asked."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.kafka.reader import open_reader
from streams.kafka.retry import follow_forever
from streams.kafka.topics import names
from streams.settings import Settings
from web.readmodel.position import Position

#: Seconds without a report of a partition, or without anything applied of what waits, that count as standing still.
#: A restart of control takes 2 to 7 s; whoever asks must hear of one that does not come back within 10.
SILENT_S, STUCK_S = 9.0, 8.5
#: Between looks at the ends of the topics. A longer time in which this process did not run does not count.
_LOOK_S = 1.0
#: Partitions that a sentence names.
_NAMED = 4

_Source = tuple[str, int]


class ControlState:
    """What is known of control, by a stopwatch. Pure."""

    def __init__(self, partitions: int, now: float) -> None:
        self._reported_at = dict.fromkeys(range(partitions), now)
        #: Applied so far of what waits, and since when.
        self._waiting: dict[_Source, tuple[int, float]] = {}
        self._ends: dict[_Source, int] = {}

    def reported(self, partitions: Iterable[int], now: float) -> None:
        """A control process decides these."""
        self._reported_at.update({n: now for n in partitions if n in self._reported_at})

    def saw(self, next_offsets: Mapping[_Source, int], ends: Mapping[_Source, int], now: float) -> None:
        """How far each source is applied, and where it ends."""
        self._ends = dict(ends)
        for source, end in ends.items():
            next_offset = next_offsets[source]
            if next_offset >= end:
                self._waiting.pop(source, None)
            elif self._waiting.get(source, (-1, 0.0))[0] != next_offset:
                self._waiting[source] = (next_offset, now)

    def troubles(self, now: float) -> list[str]:
        """Why control does not decide; empty where it does."""
        silent = [n for n, at in self._reported_at.items() if now - at > SILENT_S]
        stuck = {source: at for source, (_, at) in self._waiting.items() if now - at > STUCK_S}
        found = []
        if silent:
            longest_s = max(now - self._reported_at[n] for n in silent)
            found.append(
                f"control has not reported for {longest_s:.0f} s on {_listed(f'partition {n}' for n in silent)}"
            )
        if stuck:
            longest_s = max(now - at for at in stuck.values())
            places = _listed(self._place(source) for source in sorted(stuck))
            found.append(f"control has applied nothing for {longest_s:.0f} s of {places}")
        return found

    def _place(self, source: _Source) -> str:
        topic, partition = source
        return f"{topic}/{partition} from offset {self._waiting[source][0]} on (it ends at {self._ends[source]})"


def _listed(places: Iterable[str]) -> str:
    named = list(places)
    return ", ".join(named[:_NAMED]) + (f" and {len(named) - _NAMED} more" if len(named) > _NAMED else "")


class ControlWatch:
    """Looks at the ends of what control reads, again and again. `reported` is called with what is on the log."""

    def __init__(self, settings: Settings, position: Position, clock: Callable[[], float]) -> None:
        self._settings, self._position, self._clock = settings, position, clock
        topics = names(settings)
        self._sources = [
            TopicPartition(topic, partition)
            for topic in (topics.commands, topics.uploads, topics.step_events)
            for partition in range(settings.partitions)
        ]
        self._dead_letters = [TopicPartition(topics.dead_letters, n) for n in range(settings.partitions)]
        self._ran_s, self._ran_at = 0.0, clock()
        self._state = ControlState(settings.partitions, 0.0)
        self._consumer: Any = None

    def reported(self, partitions: Iterable[int]) -> None:
        """A report of a control process has been read."""
        self._state.reported(partitions, self._now())

    def troubles(self) -> list[str]:
        """Why control does not decide; empty where it does."""
        return self._state.troubles(self._now())

    async def dead_letters(self) -> int | None:
        """How many have been written so far; None while the log is out of reach."""
        try:
            ends = await self._consumer.end_offsets(self._dead_letters) if self._consumer else None
        except (KafkaError, OSError, TimeoutError):
            return None
        return sum(ends.values()) if ends is not None else None

    async def run(self) -> None:
        """Check until cancelled."""
        await follow_forever("ends of the topics", self._connect, self._look_on)

    def _connect(self) -> AbstractAsyncContextManager[Any]:
        client_id = f"kinolog-web-{self._settings.web.replica}"
        return open_reader(self._settings.bootstrap, reset="none", client_id=client_id)

    async def _look_on(self, consumer: Any) -> None:
        self._consumer = consumer
        try:
            while True:
                await self._look(consumer)
                await asyncio.sleep(_LOOK_S)
        finally:
            self._consumer = None

    async def _look(self, consumer: Any) -> None:
        ends = await consumer.end_offsets(self._sources)
        next_offsets = {tp: self._position.applied(*tp) + 1 for tp in self._sources}
        untouched = [tp for tp, offset in next_offsets.items() if offset == 0 < ends[tp]]
        if untouched:  # retention may have removed everything before anybody read it
            next_offsets |= await consumer.beginning_offsets(untouched)
        self._state.saw(next_offsets, ends, self._now())

    def _now(self) -> float:
        """Seconds that this process has run: control is not at fault for what a stopped web has not read."""
        at = self._clock()
        self._ran_s += min(at - self._ran_at, 2 * _LOOK_S)
        self._ran_at = at
        return self._ran_s

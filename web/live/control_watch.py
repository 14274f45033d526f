"""Health of control: from its reports and from applied offsets, without control's clock."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.processes import ControlReported
from streams.kafka.reader import open_reader
from streams.kafka.retry import follow_forever
from streams.kafka.topic_versions import NO_ID, TopicVersion, topic_versions
from streams.kafka.topics import names
from streams.settings import Settings
from web.live.control_lag import ControlLag
from web.readmodel.position import Position

#: Seconds without a report of a partition, or without progress in a backlog, after which control counts as stopped.
#: A restart of control takes 2 to 7 s, and clients must learn of a failed one within 10 s.
SILENT_S, STUCK_S = 9.0, 8.5
#: Seconds without a dispatcher that gives, after which it counts as stopped. It starts within 7 s, and again within
#: 17 s when its reader of reports has stopped.
UNDISPATCHED_S = 20.0
#: Interval between checks of the ends of the topics. Longer pauses of this process do not count.
_CHECK_S = 1.0
#: Partitions that one message lists.
_NAMED = 4

_Source = tuple[str, int]


class ControlState:
    """State of control as observed here, by a monotonic clock. Pure."""

    def __init__(self, partitions: int, now: float) -> None:
        self._reported_at = dict.fromkeys(range(partitions), now)
        #: Next offset of each source with a backlog, and since when.
        self._backlog: dict[_Source, tuple[int, float]] = {}
        self._ends: dict[_Source, int] = {}
        #: Since when a control process reports that its dispatcher gives nothing.
        self._undispatched_at: float | None = None
        #: Topics that control reads and that do not exist.
        self.missing: tuple[str, ...] = ()

    def reported(self, partitions: Iterable[int], now: float, *, dispatching: bool | None = None) -> None:
        """Note a report of a control process with these partitions; `dispatching`: see ControlReported."""
        self._reported_at.update({n: now for n in partitions if n in self._reported_at})
        if dispatching:
            self._undispatched_at = None
        elif dispatching is not None and self._undispatched_at is None:
            self._undispatched_at = now

    def observe(self, next_offsets: Mapping[_Source, int], ends: Mapping[_Source, int], now: float) -> None:
        """Note the applied and the end offset of each source that can be observed."""
        self._ends = dict(ends)
        self._backlog = {source: known for source, known in self._backlog.items() if source in ends}
        for source, end in ends.items():
            next_offset = next_offsets[source]
            if next_offset >= end:
                self._backlog.pop(source, None)
            elif self._backlog.get(source, (-1, 0.0))[0] != next_offset:
                self._backlog[source] = (next_offset, now)

    def troubles(self, now: float) -> list[str]:
        """Reasons why control is not working; empty when it is."""
        silent = [n for n, at in self._reported_at.items() if now - at > SILENT_S]
        stuck = {source: at for source, (_, at) in self._backlog.items() if now - at > STUCK_S}
        reasons = [f"the topic {topic} does not exist" for topic in self.missing]
        if silent:
            longest_s = max(now - self._reported_at[n] for n in silent)
            reasons.append(
                f"control has not reported for {longest_s:.0f} s on {_listed(f'partition {n}' for n in silent)}"
            )
        if stuck:
            longest_s = max(now - at for at in stuck.values())
            backlog = _listed(self._describe(source) for source in sorted(stuck))
            reasons.append(f"control has applied nothing for {longest_s:.0f} s on {backlog}")
        idle_s = now - self._undispatched_at if self._undispatched_at is not None else 0.0
        if idle_s > UNDISPATCHED_S:
            reasons.append(f"the dispatcher has given no step to an executor for {idle_s:.0f} s: see control's log")
        return reasons

    def _describe(self, source: _Source) -> str:
        topic, partition = source
        return f"{topic}/{partition} at offset {self._backlog[source][0]} (end: {self._ends[source]})"


def _listed(items: Iterable[str]) -> str:
    named = list(items)
    return ", ".join(named[:_NAMED]) + (f" and {len(named) - _NAMED} more" if len(named) > _NAMED else "")


def sources_of(versions: Mapping[str, TopicVersion | None], uploads: str, partitions: int) -> Iterator[TopicPartition]:
    """The partitions whose applied offsets are in rows; those of uploads with another number of them are not."""
    for topic, version in versions.items():
        size = version.partitions if version is not None else 0
        if size == partitions or (size > partitions and topic != uploads):
            yield from (TopicPartition(topic, number) for number in range(partitions))


class ControlWatch:
    """Periodic check of the topics that control reads. `reported` is called with each report on the log."""

    def __init__(self, settings: Settings, position: Position, clock: Callable[[], float]) -> None:
        self._settings, self._position, self._clock = settings, position, clock
        topics = names(settings)
        self._topics, self._uploads = (topics.commands, topics.uploads, topics.step_events), topics.uploads
        self._dead_letters = [TopicPartition(topics.dead_letters, n) for n in range(settings.partitions)]
        self._ran_s, self._ran_at = 0.0, clock()
        self._state, self._lag = ControlState(settings.partitions, 0.0), ControlLag()
        self._consumer: Any = None

    def reported(self, report: ControlReported) -> None:
        """Note a report of a control process."""
        self._state.reported(report.partitions, self._now(), dispatching=report.dispatching)

    def troubles(self) -> list[str]:
        """Reasons why control is not working; empty when it is."""
        return self._state.troubles(self._now())

    def lag(self) -> tuple[int, float]:
        """Records that control has yet to apply, and for how many seconds the oldest of them has waited."""
        return self._lag.records, self._lag.waited_s(self._now())

    async def dead_letters(self) -> int | None:
        """Number of dead letters written so far; None while the log cannot be reached."""
        try:
            ends = await self._consumer.end_offsets(self._dead_letters) if self._consumer else None
        except (KafkaError, OSError, TimeoutError):
            return None
        return sum(ends.values()) if ends is not None else None

    async def run(self) -> None:
        """Check until cancelled."""
        await follow_forever("ends of the topics", self._connect, self._follow)

    def _connect(self) -> AbstractAsyncContextManager[Any]:
        client_id = f"kinolog-web-{self._settings.web.replica}"
        return open_reader(self._settings.cluster, reset="none", client_id=client_id)

    async def _follow(self, consumer: Any) -> None:
        self._consumer = consumer
        try:
            while True:
                await self._check(consumer)
                await asyncio.sleep(_CHECK_S)
        finally:
            self._consumer = None

    async def _check(self, consumer: Any) -> None:
        versions = await self._versions(consumer)
        self._state.missing = tuple(topic for topic, version in versions.items() if version is None)
        sources = list(sources_of(versions, self._uploads, self._settings.partitions))
        ends = await consumer.end_offsets(sources)
        next_offsets = {tp: self._position.applied(*tp) + 1 for tp in sources}
        untouched = [tp for tp, offset in next_offsets.items() if offset == 0 < ends[tp]]
        if untouched:  # retention may have removed everything unread
            next_offsets |= await consumer.beginning_offsets(untouched)
        self._state.observe(next_offsets, ends, now := self._now())
        self._lag.observe(next_offsets, ends, now)

    async def _versions(self, consumer: Any) -> dict[str, TopicVersion | None]:
        try:
            return await topic_versions(consumer._client, self._topics)
        except NotImplementedError:  # brokers before Kafka 2.8: as declared
            return dict.fromkeys(self._topics, TopicVersion(NO_ID, self._settings.partitions))

    def _now(self) -> float:
        """Seconds that this process has run: while web is stopped, control cannot be observed."""
        at = self._clock()
        self._ran_s += min(at - self._ran_at, 2 * _CHECK_S)
        self._ran_at = at
        return self._ran_s

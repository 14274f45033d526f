"""Recovers tables from their changelogs in batches, before Faust's own recovery, which then has nothing left to do.

Faust takes 80 us a record and one at a time: 100,000 jobs were 50 s. Here they come in batches.

A store may have a cache of a changelog's beginning (streams/worker/cached_changelog.py): reading goes on from there.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from faust.types import TP

from streams.cluster import Cluster
from streams.kafka.envelope import fault_of
from streams.kafka.reader import fetch_from, open_reader
from streams.kafka.topic_versions import topic_versions
from streams.worker.cached_changelog import AnotherLog, Cached, CacheNotWritten, Check, LogTime

log = logging.getLogger(__name__)

#: Maximum fetch size per partition, bytes.
_FETCH_BYTES = 4 * 1024**2
#: Records that are applied before the event loop has a turn.
_SLICE = 2_000
#: Faust allows `broker_request_timeout` (30 s) for this step; it recovers itself what is left after this time.
_PATIENCE_S = 20.0


async def read_changelogs(
    cluster: Cluster,
    stores: Mapping[str, Any],
    ends: Mapping[TP, int],
    offsets: MutableMapping[TP, int],
    log_time: LogTime | None = None,
) -> None:
    """Apply the records after `offsets` (last applied) up to `ends` (last existing), and update `offsets`.

    `stores`: Faust's memory store by changelog topic; one with `rows` has a cache, and needs `log_time`: the broker's
    time. Cancelled, it leaves offsets that match what was applied.
    """
    caches: dict[str, Cached] = {topic: store.rows for topic, store in stores.items() if _rows(store) is not None}
    for cache in caches.values():
        cache.begin_recovery()
    reading = _Reading(cluster, stores, ends, offsets, log_time, time.monotonic() + _PATIENCE_S)
    try:
        await reading.run(_checks(caches, ends))
    except (AnotherLog, CacheNotWritten) as error:
        log.warning("the row cache is rebuilt", extra={"reason": str(error)})
        for cache in caches.values():
            cache.discard() if isinstance(error, AnotherLog) else cache.abandon()
        offsets.update(dict.fromkeys(ends, -1))
        await reading.run({})
    for tp, end in ends.items():
        if tp.topic in caches and offsets[tp] >= end:
            caches[tp.topic].follow(tp.partition, offsets[tp] + 1)


async def follow_changelogs(
    cluster: Cluster,
    caches: Mapping[str, Cached],
    ends: Mapping[TP, int],
    log_time: LogTime,
    may_go_on: Callable[[], bool],
) -> None:
    """Bring caches by changelog topic up to `ends` (last existing), of partitions that this process does not recover
    meanwhile. Ends early when `may_go_on` says so. Raises AnotherLog, CacheNotWritten, KafkaError.
    """
    offsets = {tp: position.offset if (position := caches[tp.topic].position(tp.partition)) else -1 for tp in ends}
    stores = {topic: _Store(rows) for topic, rows in caches.items()}
    reading = _Reading(cluster, stores, ends, offsets, log_time, math.inf, may_go_on)
    await reading.run(_checks(caches, ends))


class _Store(NamedTuple):
    rows: Cached


def _checks(caches: Mapping[str, Cached], parts: Iterable[TP]) -> "dict[TP, Check]":
    return {tp: Check(tp, caches[tp.topic].position(tp.partition)) for tp in parts if tp.topic in caches}


def _rows(store: Any) -> Cached | None:
    rows: Cached | None = getattr(store, "rows", None)
    return rows


@dataclass(frozen=True)
class _Reading:
    """One recovery."""

    cluster: Cluster
    stores: Mapping[str, Any]
    ends: Mapping[TP, int]
    offsets: MutableMapping[TP, int]
    log_time: LogTime | None
    #: By the monotonic clock.
    deadline: float
    may_go_on: Callable[[], bool] = lambda: True

    async def run(self, checks: Mapping[TP, Check]) -> None:
        """Read what is missing, and the last record of each cache. Raises AnotherLog, CacheNotWritten, KafkaError."""
        cached = {tp for tp, check in checks.items() if check.offset is not None}
        for tp in cached:
            checks[tp].require_end(self.ends[tp])
        behind = {tp: end for tp, end in self.ends.items() if self.offsets[tp] < end or (tp in cached and end >= 0)}
        if not behind:
            return
        starts = {TopicPartition(*tp): max(self.offsets[tp] + (tp not in cached), 0) for tp in behind}
        async with open_reader(
            self.cluster, starts, reset="earliest", max_partition_fetch_bytes=_FETCH_BYTES
        ) as reader:
            await self._identify(reader, checks)
            fetch_from(reader, starts)
            await _read(self, reader, behind, checks)

    async def _identify(self, reader: Any, checks: "Mapping[TP, Check]") -> None:
        """Look up the ids of cached topics. Raises AnotherLog, KafkaError."""
        caches = {topic: rows for topic, store in self.stores.items() if (rows := _rows(store)) is not None}
        versions = await topic_versions(reader._client, sorted(caches)) if caches else {}
        for topic, rows in caches.items():
            version = versions.get(topic)
            rows.topic_id = str(version.id) if version is not None else ""
        for tp, check in checks.items():
            check.require_topic(caches[tp.topic].topic_id)

    async def read(self, consumer: Any, behind: dict[TP, int], checks: Mapping[TP, Check]) -> None:
        """Apply records until nothing is behind, or the time is over."""
        while behind and time.monotonic() < self.deadline:
            batches = await consumer.getmany(
                *(TopicPartition(*tp) for tp in behind), timeout_ms=1000, max_records=_SLICE
            )
            for tp, last in list(behind.items()):
                records = batches.get(TopicPartition(*tp), ())
                if tp in checks:
                    await checks[tp].require_same(records, self.log_time)
                # By the position: the last offsets may hold no record. A former owner may have written more meanwhile:
                # that is applied too, but Faust accepts no such offset.
                end = await consumer.position(TopicPartition(*tp)) - 1
                if not self.may_go_on():
                    return
                _apply(self.stores[tp.topic], records, tp.partition, end)
                self.offsets[tp] = max(self.offsets[tp], min(end, last))
                if self.offsets[tp] >= last and end >= last:
                    del behind[tp]
                    consumer.pause(TopicPartition(*tp))


async def _read(reading: _Reading, consumer: Any, behind: dict[TP, int], checks: Mapping[TP, Check]) -> None:
    await reading.read(consumer, behind, checks)


def _apply(store: Any, records: Any, partition: int, position: int) -> None:
    if (rows := _rows(store)) is None:
        apply_records(store, records, partition)
    elif records:
        rows.apply([(r.key, r.value, partition) for r in records if fault_of(r.headers) is None])
        rows.advance(partition, position, records[-1].timestamp if records[-1].offset == position else 0)


def apply_records(store: Any, records: Iterable[Any], partition: int) -> None:
    """Apply records to Faust's memory store: rows, tombstones, and the partition of each key. Unparsable rows are lost,
    and were logged by the parser.
    """
    rows, partitions = store.data, store._key_partition
    for record in records:
        if fault_of(record.headers) is not None:
            continue
        if record.value is None:
            rows.pop(record.key, None)
            partitions.pop(record.key, None)
        else:
            rows[record.key] = record.value
            partitions[record.key] = partition

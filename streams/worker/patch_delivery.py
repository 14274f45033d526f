"""Fixes of faust-streaming 0.15.3, without which acknowledged records are lost on restart under load.

Symptom: an event was fetched, dropped when the streams were cleared for recovery, and its offset was committed
(1-42 of 300-500 jobs per run; docs/guarantees.md has the figures). Four causes, each fixed here:

1. aiokafka's `seek_to_committed` skips partitions that have no commit yet, so records fetched and dropped there are
   never read again: `perform_seek` seeks every partition explicitly.
2. `Recovery.on_recovery_completed` seeks while the flow is active, then clears the stream queues: records that
   arrived in between are lost. The seek stops the flow first, and only recovery may seek.
3. `_fetch_records` hands Faust's live set of active partitions to aiokafka, where an empty set means "all": it gets a
   snapshot, and records fetched after the flow was stopped are put back.
4. `Consumer._new_offset` then commits past the hole (faust-streaming #606): the continuity check refuses holes, and
   commits end where everything is acknowledged or skipped (streams/worker/commit_offsets.py).

Further: tables are read in batches before Faust would read them record by record
(streams/worker/patch_table_recovery.py); the changelog partitions are paused in aiokafka itself after recovery (or
they would be fetched, never read, and delay every fetch by 100 ms); fetches do not keep each other waiting
(streams/worker/patch_fetch_wait.py); added partitions are not assigned (streams/worker/patch_assignment.py); a failed
metadata request is repeated (streams/worker/patch_metadata_retry.py); a commit waits until every send is on the broker,
and for no topic that was deleted (streams/worker/patch_commit.py);
the livelock detector, whose limits are a day here, looks at nothing: it ends a worker that has no position yet.
"""

import asyncio
import functools
import logging
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from aiokafka import TopicPartition
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.transport.drivers.aiokafka import Consumer as KafkaConsumer
from faust.transport.producer import ProducerBuffer
from faust.types import TP

from streams.kafka import patch_connection, record_parsing
from streams.kafka.reader import ISOLATION
from streams.worker import patch_assignment, patch_commit, patch_fetch_wait, patch_metadata_retry, patch_thread_crash
from streams.worker.commit_offsets import _add_gap, _new_offset
from streams.worker.patch_table_recovery import read_changelogs
from streams.worker.quarantine import commit_with_metadata

log = logging.getLogger(__name__)

#: Versions that the replaced functions were written for; any other version must be reviewed first.
PATCHED = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0", "mode-streaming": "0.7.1"}
_stock_stop_flow = Consumer.stop_flow
_stock_commit = KafkaConsumer._commit
_stock_resume_streams = Recovery._resume_streams
_stock_on_recovery_completed = Recovery.on_recovery_completed
_stock_build_offsets = Recovery._build_offsets
_stock_create_worker_consumer = AIOKafkaConsumerThread._create_worker_consumer


class WrongVersion(Exception):
    """A patched package has a version that was not reviewed."""


def install() -> None:
    """Replace the functions. Raises WrongVersion. Repeating it is harmless."""
    for package, patched in PATCHED.items():
        if version(package) != patched:
            raise WrongVersion(
                f"{package} is {version(package)}; streams/worker/patch_delivery.py was written for {patched}"
            )
    for owner, function in _REPLACEMENTS:
        setattr(owner, function.__name__, function)
    patch_assignment.install()
    patch_commit.install()
    patch_fetch_wait.install()
    patch_metadata_retry.install()
    patch_thread_crash.install()
    patch_connection.install()
    record_parsing.install()
    ProducerBuffer.max_messages = 10_000


async def verify_all_partitions_active(_self: Any) -> None:
    """Consumer.verify_all_partitions_active, without the looks that raise (faust-streaming #446)."""


def stop_flow(self: Any) -> None:
    """Consumer.stop_flow, counted, so that an earlier fetch can detect it."""
    self.epoch = getattr(self, "epoch", 0) + 1
    _stock_stop_flow(self)


async def perform_seek(self: Any) -> None:
    """Consumer.perform_seek: once per recovery, to the offsets of the continuity check, with the flow stopped."""
    if not getattr(self, "seek_allowed", False):
        return  # getmany's own rewind races with recovery: only recovery may seek
    if self.seek_flight is None:
        self.seek_flight = asyncio.ensure_future(_seek(self))
        self.seek_flight.add_done_callback(_note_failure)
    await asyncio.shield(self.seek_flight)


def _note_failure(seek: "asyncio.Future[None]") -> None:
    """Log a failed seek: a rebalance may have revoked its partitions meanwhile."""
    if not seek.cancelled() and (error := seek.exception()) is not None:
        log.warning("seek failed; the next recovery seeks again", extra={"error": repr(error)})


async def _seek(self: Any) -> None:
    self.stop_flow()
    assigned = self.assignment()
    sources = [TopicPartition(*tp) for tp in assigned if not self._is_changelog_tp(tp)]
    changelogs = [TopicPartition(*tp) for tp in assigned if self._is_changelog_tp(tp)]
    ends = {TopicPartition(*tp): end for tp, end in (await self.app.log_ends(sources)).items()}
    consumer = self._thread._consumer
    starts = await self._thread.call_thread(_seek_in_thread, self.app, consumer, sources, ends, changelogs)
    self.app.continuity.expect({TP(*tp): offset for tp, offset in starts.items()})
    for tp, offset in starts.items():
        for known in (self._acked, self._acked_index, self._gap):
            known.pop(TP(*tp), None)
        self._read_offset[TP(*tp)], self._committed_offset[TP(*tp)] = offset - 1, offset


async def _seek_in_thread(
    app: Any,
    consumer: Any,
    sources: list[TopicPartition],
    ends: dict[TopicPartition, int],
    changelogs: list[TopicPartition],
) -> dict[TopicPartition, int]:
    """Seek, in the consumer's own thread. Requests the log start only if nothing else is known: ListOffsets queues
    behind the long-polling fetch (1.5-3 s instead of 10 ms).
    """
    continuity = app.continuity
    committed = await _committed(app, consumer, sources, ends)
    unknown = [tp for tp in sources if continuity.needs_beginning(TP(*tp), committed[tp])]
    beginning = await consumer.beginning_offsets(unknown) if unknown else {}
    starts = {tp: continuity.start(TP(*tp), committed[tp], beginning.get(tp, 0)) for tp in sources}
    for tp, offset in starts.items():
        consumer._fetcher.seek_to(tp, offset)
    if changelogs:
        consumer.pause(*changelogs)
    return starts


async def _committed(
    app: Any, consumer: Any, sources: list[TopicPartition], ends: dict[TopicPartition, int]
) -> dict[TopicPartition, int | None]:
    """The committed offset of each partition; one of a deleted topic of this name, or beyond the log's end, does not
    count.
    """
    committed: dict[TopicPartition, int | None] = dict.fromkeys(sources)
    await app.topic_ids.load(consumer._client, {tp.topic for tp in sources})
    # Assigned independently of the tables: another process may have the rows of these partitions.
    app.continuity.without_rows = app.topic_ids.of_other_size(app.conf.topic_partitions) & app.growing_topics
    for tp, known in (await consumer._coordinator.fetch_committed_offsets(sources)).items():
        if app.topic_ids.is_of_another(tp.topic, known.metadata or ""):
            log.error("topic was created again: it is read from its beginning", extra={"topic": tp.topic})
            app.continuity.forget(TP(*tp))
            continue
        end = ends.get(tp, known.offset)  # none for a topic that does not exist
        committed[tp] = app.continuity.existing(TP(*tp), known.offset, end) if known.offset >= 0 else None
        if known.offset > end:
            fields = {"topic": tp.topic, "partition": tp.partition, "committed": known.offset, "end": end}
            log.error("the log has lost records that were read", extra=fields)
        app.quarantine.load(TP(*tp), known.metadata or "")
    return committed


def _create_worker_consumer(self: Any, transport: Any) -> Any:
    """AIOKafkaConsumerThread._create_worker_consumer, with the isolation level and the commit metadata."""
    consumer = _stock_create_worker_consumer(self, transport)
    consumer._isolation_level = ISOLATION
    consumer.commit = functools.partial(commit_with_metadata, self.app.quarantine, self.app.topic_ids, consumer.commit)
    return consumer


async def _fetch_records(
    self: Any, consumer: Any, active_partitions: Any, timeout: float | None = None, max_records: int | None = None
) -> Any:
    """AIOKafkaConsumerThread._fetch_records with a snapshot of the partitions; puts late records back."""
    faust_consumer, fetcher = self.consumer, consumer._fetcher
    active = None if active_partitions is None else frozenset(active_partitions)
    if not faust_consumer.flow_active or (active is not None and not active):
        return {}
    epoch = getattr(faust_consumer, "epoch", 0)
    with fetcher._subscriptions.fetch_context():
        records = await fetcher.fetched_records(active, timeout=timeout, max_records=max_records)
    if records and (epoch != getattr(faust_consumer, "epoch", 0) or not faust_consumer.flow_active):
        for tp, fetched in records.items():
            if fetched and fetcher._subscriptions.is_assigned(tp):
                fetcher.seek_to(tp, fetched[0].offset)
        return {}
    return records


async def _commit(self: Any, offsets: Any) -> Any:
    """Consumer._commit, after everything that was sent because of these offsets is on the broker."""
    self.app.commits_begun += 1
    await self.app.before_commit()
    done = await _stock_commit(self, offsets)
    self.app.commits_ended = self.app.commits_begun
    return done


async def _build_offsets(self: Any, consumer: Any, tps: Any, destination: Any, title: str) -> Any:
    """Recovery._build_offsets, followed by the batched recovery."""
    await _stock_build_offsets(self, consumer, tps, destination, title)
    if title == "active":
        stores = {topic: table.data for topic, table in self.tables._changelogs.items()}
        ends = {tp: end for tp, end in self.active_highwaters.items() if tp in tps and end is not None}
        await read_changelogs(self.app.cluster, stores, ends, destination, self.app.log_time)


async def _resume_streams(self: Any, generation_id: int = 0) -> Any:
    """Recovery._resume_streams, allowed to seek."""
    with _Seeking(self.app.consumer):
        return await _stock_resume_streams(self, generation_id)


async def on_recovery_completed(self: Any, generation_id: int = 0) -> Any:
    """Recovery.on_recovery_completed, allowed to seek."""
    with _Seeking(self.app.consumer):
        return await _stock_on_recovery_completed(self, generation_id)


_REPLACEMENTS: list[tuple[type, Callable[..., Any]]] = [
    (Consumer, verify_all_partitions_active),
    (Consumer, stop_flow),
    (Consumer, perform_seek),
    (Consumer, _add_gap),
    (Consumer, _new_offset),
    (AIOKafkaConsumerThread, _create_worker_consumer),
    (AIOKafkaConsumerThread, _fetch_records),
    (KafkaConsumer, _commit),
    (Recovery, _build_offsets),
    (Recovery, _resume_streams),
    (Recovery, on_recovery_completed),
]


class _Seeking:
    """While entered, the consumer may seek once."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def __enter__(self) -> None:
        self._consumer.seek_allowed, self._consumer.seek_flight = True, None

    def __exit__(self, *_: object) -> None:
        self._consumer.seek_allowed = False

"""media.progress -> progress in memory and in the read model -> live clients."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from schemas.base import Message
from schemas.processes import ControlReported
from schemas.queues import QueueReported
from schemas.step_events import StepCaptioned, StepProgressed
from streams.kafka.envelope import Entry, read
from streams.kafka.reader import FOLLOWER_MS, fetch_from, open_reader
from streams.kafka.retry import follow_forever
from streams.kafka.topics import names
from streams.process.turns import in_turns
from streams.settings import Settings
from web.live.hub import Hub
from web.live.progress import Progress
from web.readmodel import queries
from web.readmodel.job_table import StoredProgress
from web.readmodel.read_model import ReadModel

log = logging.getLogger("kinolog.web")

#: Records of a partition that a new replica reads back, and that a returning one reads at most. The topic keeps an
#: hour, and a record has up to 256 events, about one a second and attempt: 5,000 are some minutes of a busy system.
_NEW_REPLICA_RECORDS, _MAX_RECORDS = 5_000, 50_000
_STORE_S = 1.0
#: Longest wait for progress from before the start of the process.
_CATCH_UP_S = 3.0
#: Events that are applied before other tasks may run.
_CHUNK = 256


class ProgressFollower:
    """Follower of `media.progress`. It resumes at the offsets in the read model: shown progress survives a restart."""

    def __init__(
        self,
        settings: Settings,
        model: ReadModel,
        progress: Progress,
        hub: Hub,
        on_report: Callable[[ControlReported], None] = lambda _: None,
    ) -> None:
        """`on_report` is called with each report of a control process."""
        self._settings, self._on_report = settings, on_report
        self._model = model
        self._progress = progress
        self._hub = hub
        #: Progress (0-1) of jobs since it was last stored.
        self._unstored: dict[str, float] = {}
        self._stored_at = 0.0
        topic = names(settings).progress
        self._parts = [TopicPartition(topic, partition) for partition in range(settings.partitions)]
        #: Next offset by partition; empty before the first connection.
        self._next: dict[int, int] = {}
        #: Set when all events from before the start have been applied; when requests no longer wait for that.
        self._caught_up, self._serving = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled. Damage of the read model is repaired by the follower of the changelogs."""
        await follow_forever(
            "progress", self._connect, self._follow, also=(sqlite3.Error,), on_failure=self._serving.set
        )

    async def wait_caught_up(self) -> None:
        """Wait, at most a few seconds, until all events from before the start have been applied."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_S):
                await self._caught_up.wait()

    async def wait_serving(self) -> None:
        """Hold back a request until then if a process before this one may have shown progress.

        Not for long, and not while the log is unreachable: the last second of progress is then missing for a while.
        """
        if not self._serving.is_set() and await self._has_predecessor():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CATCH_UP_S):
                    await self._serving.wait()
            self._serving.set()

    async def _has_predecessor(self) -> bool:
        try:
            return await self._model.saved() is not None
        except sqlite3.Error:  # nothing is shown from it
            return False

    def _connect(self) -> AbstractAsyncContextManager[Any]:
        client_id = f"kinolog-web-{self._settings.web.replica}"
        return open_reader(
            self._settings.cluster, self._parts, reset="latest", wait_ms=FOLLOWER_MS, client_id=client_id
        )

    async def _follow(self, consumer: Any) -> None:
        ends = await self._seek(consumer)
        while True:
            if not self._caught_up.is_set() and all(self._next[part] >= end for part, end in ends.items()):
                self._caught_up.set()
                self._serving.set()
            for part, records in (await consumer.getmany(timeout_ms=1_000, max_records=1_000)).items():
                await self.take(part.partition, records)
            await self._store_periodically()

    async def _seek(self, consumer: Any) -> dict[int, int]:
        """Start fetching at the offsets to resume from; returns the current end of each partition."""
        known = self._next or await self._model.read(queries.progress_positions)
        firsts = await consumer.beginning_offsets(self._parts)
        ends = await consumer.end_offsets(self._parts)
        starts = {part: start_of(firsts[part], ends[part], known.get(part.partition)) for part in self._parts}
        self._next = {part.partition: start for part, start in starts.items()}
        fetch_from(consumer, starts)
        return {part.partition: ends[part] for part in self._parts}

    async def _store_periodically(self) -> None:
        """Once a second: lists sorted by progress stay current, and a restart resumes from here."""
        now = asyncio.get_running_loop().time()
        if now - self._stored_at >= _STORE_S:
            self._stored_at = now
            await self.store()

    async def store(self) -> None:
        """Store all progress that has increased since the last call."""
        by_job, self._unstored = self._unstored, {}
        progress = [StoredProgress(*one) for one in self._progress.take_changed()]
        if not progress:
            return
        try:
            await self._model.note_progress(by_job, progress, dict(self._next))
        except sqlite3.Error as error:  # a full disk, or damage: the next change of each job's row stores it too
            log.warning("progress cannot be stored", extra={"error": str(error)})

    async def take(self, partition: int, records: Sequence[ConsumerRecord]) -> None:
        """Apply records of one partition, in order."""
        entries = [entry for record in records for entry in read(record.value, record.headers)]
        async for entry in in_turns(entries, _CHUNK):
            if isinstance(entry, Entry):
                self._apply(entry.message)
        self._next[partition] = records[-1].offset + 1

    def _apply(self, message: Message) -> None:
        # Undecodable records are skipped: progress may be lost, and this topic has no dead letters.
        if isinstance(message, StepProgressed):
            change = self._progress.fold(message)
            if change is not None:
                self._hub.publish_progress(change)
                self._unstored[change.job.id] = change.job_progress
        elif isinstance(message, StepCaptioned):
            job = self._progress.captioned_job(message)
            if job is not None:
                self._hub.publish_caption(job, message)
        elif isinstance(message, QueueReported):
            self._progress.queues.report(message)
        elif isinstance(message, ControlReported):
            self._on_report(message)


def start_of(first: int, end: int, known: int | None) -> int:
    """Offset to read a partition from; `known`: its next unread offset."""
    if known is None or known > end:  # a new replica, or another log
        return max(first, end - _NEW_REPLICA_RECORDS)
    return max(first, known, end - _MAX_RECORDS)

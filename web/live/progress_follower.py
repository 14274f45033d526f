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
from schemas.step_events import StepCaptioned, StepProgressed
from streams.kafka.envelope import Entry, read
from streams.kafka.reader import FOLLOWER_MS, fetch_from, open_reader
from streams.kafka.retry import follow_forever
from streams.kafka.topics import names
from streams.settings import Settings
from web.live.hub import Hub
from web.live.progress import Progress
from web.readmodel import queries
from web.readmodel.job_table import Seen
from web.readmodel.read_model import ReadModel

log = logging.getLogger("kinolog.web")

#: Records of a partition that a new replica looks back, and that one which was away reads at most. The topic keeps an
#: hour, a record has up to 256 messages of about one a second and attempt: the first is some minutes of a busy system.
_LOOK_BACK, _MOST_BEHIND = 5_000, 50_000
_NOTE_S = 1.0
#: Longest wait, after the start of the process, for what was said before.
_SETTLE_S = 3.0
#: Messages that are taken in before the event loop may do something else.
_AT_ONCE = 256


class ProgressFollower:
    """Reads `media.progress` from where the read model says that it was read to, so that nothing that was shown is
    forgotten over a restart.
    """

    def __init__(
        self,
        settings: Settings,
        model: ReadModel,
        progress: Progress,
        hub: Hub,
        on_report: Callable[[tuple[int, ...]], None] = lambda _: None,
    ) -> None:
        """`on_report` is called with the partitions that a control process says it decides."""
        self._settings, self._on_report = settings, on_report
        self._model = model
        self._progress = progress
        self._hub = hub
        #: Progress (0-1) of running jobs that have moved since that was last written down.
        self._moved: dict[str, float] = {}
        self._noted_at = 0.0
        topic = names(settings).progress
        self._parts = [TopicPartition(topic, partition) for partition in range(settings.partitions)]
        #: Next offset by partition; empty until the start is known.
        self._next: dict[int, int] = {}
        #: Set when all is known that had been said before the process started; when requests wait for that no longer.
        self._settled, self._answering = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled. Damage of the read model is repaired by the follower of the changelogs."""
        await follow_forever(
            "progress", self._connect, self._follow, also=(sqlite3.Error,), on_failure=self._answering.set
        )

    async def settled(self) -> None:
        """Return when what had been said before the process started is known, or after a few seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                await self._settled.wait()

    async def resumed(self) -> None:
        """Let requests wait for that where a process before this one may have shown something. Not for long, and not at
        all while the log is away: its last second is then missing until it is back.
        """
        if not self._answering.is_set() and await self._has_predecessor():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE_S):
                    await self._answering.wait()
            self._answering.set()

    async def _has_predecessor(self) -> bool:
        try:
            return await self._model.saved() is not None
        except sqlite3.Error:  # nothing can be shown from it
            return False

    def _connect(self) -> AbstractAsyncContextManager[Any]:
        client_id = f"kinolog-web-{self._settings.web.replica}"
        return open_reader(
            self._settings.bootstrap, self._parts, reset="latest", wait_ms=FOLLOWER_MS, client_id=client_id
        )

    async def _follow(self, consumer: Any) -> None:
        ends = await self._seek(consumer)
        while True:
            if not self._settled.is_set() and all(self._next[part] >= end for part, end in ends.items()):
                self._settled.set()
                self._answering.set()
            for part, records in (await consumer.getmany(timeout_ms=1_000, max_records=1_000)).items():
                await self.take(part.partition, records)
            await self._note()

    async def _seek(self, consumer: Any) -> dict[int, int]:
        """Go where reading goes on; returns where each partition ends now."""
        known = self._next or await self._model.read(queries.progress_positions)
        begins = await consumer.beginning_offsets(self._parts)
        ends = await consumer.end_offsets(self._parts)
        starts = {part: start_of(begins[part], ends[part], known.get(part.partition)) for part in self._parts}
        self._next = {part.partition: start for part, start in starts.items()}
        fetch_from(consumer, starts)
        return {part.partition: ends[part] for part in self._parts}

    async def _note(self) -> None:
        """Once a second: a list sorted by progress follows what runs, and a restart goes on from here."""
        now = asyncio.get_running_loop().time()
        if now - self._noted_at >= _NOTE_S:
            self._noted_at = now
            await self.note()

    async def note(self) -> None:
        """Write down how far everything is, where anything has moved."""
        moved, self._moved = self._moved, {}
        seen = [Seen(*one) for one in self._progress.risen()]
        if not seen:
            return
        try:
            await self._model.note_progress(moved, seen, dict(self._next))
        except sqlite3.Error as error:  # a full disk, or damage: the next change of each job's row has it too
            log.warning("progress cannot be written", extra={"error": str(error)})

    async def take(self, partition: int, records: Sequence[ConsumerRecord]) -> None:
        """Take in records of one partition, in order."""
        entries = [entry for record in records for entry in read(record.value, record.headers)]
        for n, entry in enumerate(entries, 1):
            if isinstance(entry, Entry):
                self._take(entry.message)
            if n % _AT_ONCE == 0:
                await asyncio.sleep(0)
        self._next[partition] = records[-1].offset + 1

    def _take(self, message: Message) -> None:
        # What cannot be read is passed over: progress may be lost, and control dead-letters nothing of this topic.
        if isinstance(message, StepProgressed):
            moved = self._progress.fold(message)
            if moved is not None:
                self._hub.publish_progress(moved)
                self._moved[moved.job.id] = moved.job_progress
        elif isinstance(message, StepCaptioned):
            job = self._progress.speaker(message)
            if job is not None:
                self._hub.publish_caption(job, message)
        elif isinstance(message, ControlReported):
            self._on_report(message.partitions)


def start_of(begin: int, end: int, known: int | None) -> int:
    """Where to read a partition from, of which `known` is the next offset that was not read yet."""
    if known is None or known > end:  # a new replica, or another log
        return max(begin, end - _LOOK_BACK)
    return max(begin, known, end - _MOST_BEHIND)

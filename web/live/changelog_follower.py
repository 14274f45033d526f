"""kinolog-control-{jobs,assets}-changelog -> read model -> live clients, for as long as the process lives."""

import asyncio
import logging
import math
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Protocol

from schemas.jobs import Asset, Queue
from streams.kafka.retry import follow_forever
from streams.settings import Settings
from web.http.cursors import log_mark
from web.live.hub import REBUILT, Hub
from web.live.progress import Progress
from web.live.queue_pauses import publish_pause
from web.readmodel import queries
from web.readmodel.changelog import Change, Record
from web.readmodel.changelog_reader import Extent, LogReader, Part, WrongPartitions
from web.readmodel.log_clock import LogClock
from web.readmodel.position import Position
from web.readmodel.projector import Applied, Batch, JobChange, ReadPosition
from web.readmodel.read_model import ReadModel, Saved

log = logging.getLogger("kinolog.web")

_LOOK_S = 5.0
_AGAIN_S = 1.0
#: A partition's new leader may not know for a while how much of it is committed: a log that is shorter for longer is
#: another one. Measured on three nodes: each change of leaders looked like a new log, and every replica began anew.
_SHORT_S = 30.0
#: A tombstone may be dropped a day after compaction (Kafka's delete.retention.ms): whoever was away for longer would
#: keep rows that are gone.
TOO_OLD_S = 12 * 3600.0
_MARK_CURRENT_S = 600.0
#: Longest wait for the log's time: the log was reached just now.
_CLOCK_S = 5.0
#: Jobs whose progress is taken over from the last process.
_SEEN = 20_000
#: Latest completed jobs that say how long steps take.
_HISTORY = 200
#: Changes that are handed out before the event loop may do something else.
_PUBLISHED_AT_ONCE = 64


async def _at_once() -> None:
    """Nothing to wait for."""


class LogReplaced(Exception):
    """What is being read is not the log that the read model comes from; the message says what shows it."""


class AssetListener(Protocol):
    """Somebody who does something with assets."""

    def changed(self, changes: Iterable[Change[Asset]]) -> None:
        """These rows are new, different or gone."""
        ...

    def caught_up(self) -> None:
        """The read model is complete (again): what it does not have is gone."""
        ...


class Follower:
    """Keeps the read model at the end of the log, whatever happens to either."""

    #: Told of every change of an asset.
    listener: AssetListener | None = None
    #: Waited for before the first new row is taken in: what was said of progress before belongs to the rows before.
    clock: LogClock | None = None
    before_reading: Callable[[], Awaitable[None]] = staticmethod(_at_once)

    def __init__(self, settings: Settings, model: ReadModel, position: Position, progress: Progress, hub: Hub) -> None:
        self._settings = settings
        self._model = model
        self._position = position
        self._progress = progress
        self._hub = hub
        #: Where everything stood when it was last looked at.
        self._ends: dict[Part, int] = {}
        self._read_to: dict[Part, int] = {}
        #: Marks of the last known records, until they have been seen again.
        self._tails: dict[Part, tuple[int, int]] = {}
        self._replaced: str | None = None
        self._marked_at = -math.inf
        self._looked_at: float | None = None
        self._short_since: float | None = None

    async def run(self) -> None:
        """Follow until cancelled."""
        saved = await self._model.saved()
        if saved is not None:  # served until the log is reached
            await self._begin(saved, rebuilding=False)
        await follow_forever(
            "changelogs", partial(LogReader, self._settings), self._follow, also=(WrongPartitions, sqlite3.Error)
        )

    def troubles(self) -> list[str]:
        """What keeps this replica from being ready; empty when nothing does."""
        if not self._position.caught_up.is_set():
            return ["the read model has not caught up with the log"]
        silent_s = asyncio.get_running_loop().time() - (self._looked_at or 0.0)
        return [f"the log has not been reached for {silent_s:.0f} s"] if silent_s > 3 * _LOOK_S else []

    async def _follow(self, reader: LogReader) -> None:
        """Follow until it fails; return when the log has been replaced."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._start_at(reader)
                await self.before_reading()
                group.create_task(self._look(reader))
                group.create_task(self._read_on(reader))
        except ExceptionGroup as group_error:  # raised singly: both tasks fail for the same reason
            error = group_error.exceptions[0]
            if not isinstance(error, LogReplaced):
                raise error from None
            self._replaced = str(error)

    # Where to begin

    async def _start_at(self, reader: LogReader) -> None:
        saved = None if self._model.damaged.is_set() else await self._model.saved()
        extent = await self._settled_extent(reader, saved)
        now = await self._now() if saved is not None else 0.0
        reason = self._replaced or reason_to_rebuild(saved, extent, self._settings.partitions, now)
        if saved is None or reason is not None:
            saved = await self._rebuild(extent.cluster, reason or "it is new or damaged")
        await self._begin(saved, rebuilding=self._position.rebuilding or reason is not None)
        self._tails = {part: (position.next_offset - 1, position.tail) for part, position in saved.positions.items()}
        self._read_to = {part: saved.positions.get(part, ReadPosition()).next_offset for part in extent.starts}
        # From the last known record on: it shows whether this is still the same log.
        reader.seek({part: max(self._read_to[part] - 1, start) for part, start in extent.starts.items()})
        self._ends = extent.ends
        await self._note_progress_made()

    async def _settled_extent(self, reader: LogReader, saved: Saved | None) -> Extent:
        """What the log holds; while it seems shorter than what was read of it, it is asked again."""
        deadline = asyncio.get_running_loop().time() + _SHORT_S
        while True:
            extent = await reader.extent()
            late = asyncio.get_running_loop().time() > deadline
            if saved is None or saved.cluster != extent.cluster or late or not is_ahead(saved, extent):
                return extent
            await asyncio.sleep(_AGAIN_S)

    async def _rebuild(self, cluster: str, reason: str) -> Saved:
        log.info("read model is rebuilt from the log", extra={"reason": reason})
        self._hub.dismiss_all(REBUILT)
        if self._position.log in (None, log_mark(cluster)):  # None: what was seen was seen on this log
            self._progress.clear()
        else:
            self._progress.forget_all()
        await self._model.rebuild(cluster, self._settings.partitions)
        self._replaced, self._marked_at = None, -math.inf
        self._position.rebuilding = True
        return Saved(cluster, self._settings.partitions, 0.0, {})

    async def _begin(self, saved: Saved, *, rebuilding: bool) -> None:
        offsets = [
            saved.positions.get(("jobs", partition), ReadPosition()).next_offset
            for partition in range(saved.partitions)
        ]
        self._position.restart(log_mark(saved.cluster), offsets, rebuilding=rebuilding)
        self._position.claim(await self._model.read(queries.claims))
        self._progress.queues.paused = frozenset(await self._model.read(queries.paused))
        for seen in await self._model.read(queries.seen_progress, limit=_SEEN):
            self._progress.restore(*seen)
        for query in (partial(queries.latest_completed, limit=_HISTORY), queries.open_jobs):
            for job in await self._model.read(query):
                self._progress.watch(job)

    # Going on

    async def _read_on(self, reader: LogReader) -> None:
        while True:
            batch = await reader.fetch()
            if self._model.damaged.is_set():
                raise LogReplaced("the read model is damaged")
            if any(batch.values()):
                await self.take(batch)
            self._read_to |= await reader.positions()
            await self._note_progress_made()

    async def take(self, batch: Batch) -> None:
        """Take in one batch: into the read model first, then to whoever listens or waits. Raises LogReplaced."""
        self._tails = verified(batch, self._tails)
        async with self._hub.changing:
            applied = await self._model.apply(batch, keep_history=not self._position.rebuilding)
            await self._announce(batch, applied)
        if self.listener is not None and applied.assets:
            self.listener.changed(applied.assets)

    async def _announce(self, batch: Batch, applied: Applied) -> None:
        switched = self._switched(applied.queues)
        await self._publish(applied.jobs)
        offsets = self._position.offsets
        for record in batch.get("jobs", ()):
            offsets[record.partition] = max(offsets[record.partition], record.offset + 1)
        self._position.claim(applied.claims)
        for step in switched if not self._position.rebuilding else ():
            await publish_pause(self._model, self._hub, step, applied.seq)

    async def _publish(self, changes: Iterable[JobChange]) -> None:
        for n, change in enumerate(changes, 1):
            self._position.offsets[change.partition] = change.offset + 1
            if change.job is None:
                self._progress.forget(change.audience.job_id)
            else:
                self._progress.watch(change.job)
            if not self._position.rebuilding:
                self._hub.publish(change)
            if n % _PUBLISHED_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _switched(self, changes: Iterable[Change[Queue]]) -> set[str]:
        """Note which queues are paused; the steps whose queue was switched."""
        queues = self._progress.queues
        return {c.id for c in changes if c.row is not None and queues.pause(c.id, paused=c.row.paused)}

    async def _note_progress_made(self) -> None:
        """Caught up once everything has been read that was there at the last look."""
        if any(self._read_to[part] < end for part, end in self._ends.items()):
            return
        if not self._position.caught_up.is_set():
            log.info("read model has caught up")
            self._position.rebuilding = False
            self._position.caught_up.set()
            if self.listener is not None:
                self.listener.caught_up()
        now = asyncio.get_running_loop().time()
        if now - self._marked_at > _MARK_CURRENT_S:
            self._marked_at = now
            known = self.clock.now_or_none() if self.clock is not None else None
            await self._model.mark_current(time.time() if known is None else known)

    async def _now(self) -> float:
        """The log's time, waited for at a start; this machine's where that cannot be had."""
        known = await self.clock.within(_CLOCK_S) if self.clock is not None else None
        return time.time() if known is None else known

    async def _look(self, reader: LogReader) -> None:
        """See again and again whether the log is there and still goes beyond what was read."""
        while True:
            self._looked_at = asyncio.get_running_loop().time()
            await asyncio.sleep(_LOOK_S)
            self._ends = await reader.ends()
            self._require_same_log(asyncio.get_running_loop().time())

    def _require_same_log(self, now: float) -> None:
        if all(self._read_to[part] <= end for part, end in self._ends.items()):
            self._short_since = None
            return
        self._short_since = self._short_since or now
        if now - self._short_since > _SHORT_S:
            self._short_since = None
            raise LogReplaced("it has become shorter")


def reason_to_rebuild(saved: Saved | None, extent: Extent, partitions: int, now: float) -> str | None:
    """Why a read model cannot go on with the log that is there; None when it can."""
    if saved is None:
        return "it is new or damaged"
    if (saved.cluster, saved.partitions) != (extent.cluster, partitions):
        return "the log is of another cluster, or has another number of partitions"
    if now - saved.current_at > TOO_OLD_S:
        return "it is so old that deletions may have been missed"
    if is_ahead(saved, extent):
        return "it is ahead of the log: the log was made anew"
    behind = any(position.next_offset < extent.starts[part] for part, position in saved.positions.items())
    return "the log begins after it" if behind else None


def is_ahead(saved: Saved, extent: Extent) -> bool:
    """Whether a read model knows more than the log holds."""
    return any(position.next_offset > extent.ends.get(part, 0) for part, position in saved.positions.items())


def verified(batch: Batch, tails: dict[Part, tuple[int, int]]) -> dict[Part, tuple[int, int]]:
    """The tails that have not come by yet. Raises LogReplaced where the record at that offset is another one.

    A record that compaction has removed proves nothing: the next one of its partition ends the check.
    """
    if not tails:
        return tails
    left = dict(tails)
    for name, records in batch.items():
        for record in records:
            _check(record, left.pop((name, record.partition), None))
    return left


def _check(record: Record, tail: tuple[int, int] | None) -> None:
    if tail is not None and record.offset == tail[0] and record.mark != tail[1]:
        raise LogReplaced("its last record is another one in the log")

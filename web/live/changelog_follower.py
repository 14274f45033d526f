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
from streams.process.turns import in_turns
from streams.settings import Settings
from web.http.cursors import log_mark
from web.live.hub import REBUILT, Hub
from web.live.progress import Progress
from web.live.queue_pauses import publish_pause
from web.readmodel import queries
from web.readmodel.changelog import Change
from web.readmodel.changelog_reader import Extent, LogReader, WrongPartitions
from web.readmodel.log_clock import LogClock
from web.readmodel.log_identity import MAX_SHORT_S, LogReplaced, LogState, is_ahead, reason_to_rebuild
from web.readmodel.position import Position
from web.readmodel.projector import Batch, BatchResult, JobChange, ReadPosition
from web.readmodel.read_model import ReadModel, Saved

log = logging.getLogger("kinolog.web")

_CHECK_S = 5.0
_RECHECK_S = 1.0
_MARK_CURRENT_S = 600.0
#: Longest wait for the log's time: the log was reached just now.
_CLOCK_S = 5.0
#: Jobs whose progress is restored from before a restart.
_RESTORED_JOBS = 20_000
#: Latest completed jobs from which step durations are estimated.
_COMPLETED_JOBS = 200
#: Changes that are published before other tasks may run.
_CHUNK = 64


async def _no_wait() -> None:
    pass


class AssetListener(Protocol):
    """Receiver of asset changes."""

    def changed(self, changes: Iterable[Change[Asset]]) -> None:
        """These assets are new, different or deleted."""
        ...

    def caught_up(self) -> None:
        """The read model is complete (again): an asset that it lacks does not exist."""
        ...


class ChangelogFollower:
    """Follower of the changelogs: applies them to the read model and publishes each change, across failures of both."""

    def __init__(
        self,
        settings: Settings,
        model: ReadModel,
        position: Position,
        progress: Progress,
        hub: Hub,
        *,
        clock: LogClock | None = None,
        listener: AssetListener | None = None,
        before_reading: Callable[[], Awaitable[None]] = _no_wait,
    ) -> None:
        """`before_reading` is awaited before the first batch: earlier progress belongs to the rows before it."""
        self._settings, self._model, self._position = settings, model, position
        self._progress, self._hub = progress, hub
        self._clock, self._listener, self._before_reading = clock, listener, before_reading
        self._log = LogState()
        #: Why the next connection must rebuild the read model.
        self._replaced: str | None = None
        #: Monotonic times of the last successful check of the log, and of the last `mark_current`.
        self._checked_at, self._marked_at = 0.0, -math.inf

    async def run(self) -> None:
        """Follow until cancelled."""
        saved = await self._model.saved()
        if saved is not None:  # served until the log is reached
            await self._restore(saved, rebuilding=False)
        await follow_forever(
            "changelogs", partial(LogReader, self._settings), self._follow, also=(WrongPartitions, sqlite3.Error)
        )

    def troubles(self) -> list[str]:
        """Reasons why this replica is not ready; empty when it is."""
        if not self._position.caught_up.is_set():
            return ["the read model has not caught up with the log"]
        silent_s = asyncio.get_running_loop().time() - self._checked_at
        return [f"the log has not been reached for {silent_s:.0f} s"] if silent_s > 3 * _CHECK_S else []

    async def take(self, batch: Batch) -> None:
        """Apply one batch to the read model, then publish its changes. Raises LogReplaced."""
        self._log.verify(batch)
        async with self._hub.publishing:
            result = await self._model.apply(batch, keep_history=not self._position.rebuilding)
            await self._publish(batch, result)
        if self._listener is not None and result.assets:
            self._listener.changed(result.assets)

    async def _follow(self, reader: LogReader) -> None:
        """Follow over one connection until it fails; return when the log has been replaced."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._start(reader)
                await self._before_reading()
                group.create_task(self._check_log(reader))
                group.create_task(self._read(reader))
        except ExceptionGroup as errors:  # raised singly: both tasks fail for the same reason
            error = errors.exceptions[0]
            if not isinstance(error, LogReplaced):
                raise error from None
            self._replaced = str(error)

    # Start

    async def _start(self, reader: LogReader) -> None:
        saved = None if self._model.damaged.is_set() else await self._model.saved()
        extent = await self._stable_extent(reader, saved)
        self._checked_at = asyncio.get_running_loop().time()
        now = await self._now() if saved is not None else 0.0
        reason = self._replaced or reason_to_rebuild(saved, extent, self._settings.partitions, now)
        if saved is None or reason is not None:
            saved = await self._rebuild(extent.cluster, reason or "the read model is new or damaged")
        await self._restore(saved, rebuilding=self._position.rebuilding or reason is not None)
        self._log = LogState.at_start(saved, extent)
        reader.seek(self._log.start_offsets(extent))
        await self._note_position()

    async def _stable_extent(self, reader: LogReader, saved: Saved | None) -> Extent:
        """The extent of the log; while the log seems shorter than what was read, it is checked again."""
        deadline = asyncio.get_running_loop().time() + MAX_SHORT_S
        while True:
            extent = await reader.extent()
            late = asyncio.get_running_loop().time() > deadline
            if saved is None or saved.cluster != extent.cluster or late or not is_ahead(saved, extent):
                return extent
            await asyncio.sleep(_RECHECK_S)

    async def _rebuild(self, cluster: str, reason: str) -> Saved:
        log.info("read model is rebuilt from the log", extra={"reason": reason})
        self._hub.close_all(REBUILT)
        if self._position.log in (None, log_mark(cluster)):  # None: the progress that is known is of this log
            self._progress.clear()
        else:
            self._progress.reset()
        await self._model.rebuild(cluster, self._settings.partitions)
        self._replaced, self._marked_at = None, -math.inf
        self._position.rebuilding = True
        return Saved(cluster, self._settings.partitions, 0.0, {})

    async def _restore(self, saved: Saved, *, rebuilding: bool) -> None:
        """Load what is kept in memory from the read model."""
        positions = [saved.positions.get(("jobs", number), ReadPosition()) for number in range(saved.partitions)]
        offsets = [position.next_offset for position in positions]
        self._position.restart(log_mark(saved.cluster), offsets, rebuilding=rebuilding)
        self._position.note_applied(await self._model.read(queries.applied_offsets))
        self._progress.queues.paused = frozenset(await self._model.read(queries.paused))
        for stored in await self._model.read(queries.stored_progress, limit=_RESTORED_JOBS):
            self._progress.restore(*stored)
        for query in (partial(queries.latest_completed, limit=_COMPLETED_JOBS), queries.open_jobs):
            for job in await self._model.read(query):
                self._progress.update(job)

    # Follow

    async def _read(self, reader: LogReader) -> None:
        while True:
            batch = await reader.fetch()
            if self._model.damaged.is_set():
                raise LogReplaced("the read model is damaged")
            if any(batch.values()):
                await self.take(batch)
            self._log.read_to |= await reader.positions()
            await self._note_position()

    async def _publish(self, batch: Batch, result: BatchResult) -> None:
        self._hub.version += 1  # also while the read model is rebuilt and nothing is published
        switched = self._note_pauses(result.queues)
        await self._publish_jobs(result.jobs)
        offsets = self._position.offsets
        for record in batch.get("jobs", ()):
            offsets[record.partition] = max(offsets[record.partition], record.offset + 1)
        self._position.note_applied(result.applied_offsets, result.voided)
        for step in switched if not self._position.rebuilding else ():
            await publish_pause(self._model, self._hub, step, result.seq)

    async def _publish_jobs(self, changes: Iterable[JobChange]) -> None:
        async for change in in_turns(changes, _CHUNK):
            self._position.offsets[change.partition] = change.offset + 1
            if change.job is None:
                self._progress.forget(change.audience.job_id)
            else:
                self._progress.update(change.job)
            if not self._position.rebuilding:
                self._hub.publish(change)

    def _note_pauses(self, changes: Iterable[Change[Queue]]) -> set[str]:
        """Record which queues are paused; returns the steps whose queue was paused or resumed."""
        queues = self._progress.queues
        return {c.id for c in changes if c.row is not None and queues.pause(c.id, paused=c.row.paused)}

    async def _note_position(self) -> None:
        """Once everything up to the last known end has been read: caught up, and current as of now."""
        if not self._log.is_read:
            return
        if not self._position.caught_up.is_set():
            log.info("read model has caught up")
            self._position.rebuilding = False
            self._position.caught_up.set()
            if self._listener is not None:
                self._listener.caught_up()
        now = asyncio.get_running_loop().time()
        if now - self._marked_at > _MARK_CURRENT_S:
            self._marked_at = now
            known = self._clock.now_or_none() if self._clock is not None else None
            await self._model.mark_current(time.time() if known is None else known)

    async def _now(self) -> float:
        """The log's time, waited for briefly; this machine's where the log's is not known."""
        known = await self._clock.within(_CLOCK_S) if self._clock is not None else None
        return time.time() if known is None else known

    async def _check_log(self, reader: LogReader) -> None:
        """Check periodically that the log is reachable and not shorter than what was read."""
        while True:
            self._checked_at = asyncio.get_running_loop().time()
            await asyncio.sleep(_CHECK_S)
            self._log.ends = await reader.ends()
            self._log.require_not_shorter(asyncio.get_running_loop().time())

"""Timers of control: deadlines of steps, expiry of deleted jobs, repeats of paused queues; by the log's time."""

import asyncio
from collections.abc import Iterable
from typing import Any

from agents.control.effects import SOURCE, EffectPublisher
from agents.control.job_tables import JobTables
from agents.control.record_changes import RecordChanges
from schemas.jobs import Job
from schemas.step_events import JobDue, StepEvent
from streams.kafka.envelope import structured
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from streams.settings import Settings
from streams.worker.app import KinologApp
from tables.deadlines import Deadlines
from tables.log_clock import LogClock
from tables.queues import queue_effects
from tables.rows import DELETED_TTL_S, decode_job, deleted_key

#: Seconds between repeats of what is paused: `media.control` keeps messages for a day, and new executors need them.
_REPEAT_PAUSED_S = 6 * 3600.0
#: Events that one tick may send, and deleted jobs that it may forget; the rest waits for the next tick.
_MAX_PER_TICK = 5_000
#: Seconds after which the broker counts as away when it has not taken a due event.
_UNDELIVERED_S = 2.0


class Timers:
    """What is due, and the events that report it. While the broker takes no events, no lease can be renewed: afterwards
    every lease gets a grace period.
    """

    def __init__(self, app: KinologApp, settings: Settings, tables: JobTables, publisher: EffectPublisher) -> None:
        self._app, self._tables, self._publisher = app, tables, publisher
        self._topic = names(settings).step_events
        self.clock = LogClock()
        self._deadlines = Deadlines(settings.lease)
        #: The delivery of the last event that was sent, when it was sent, and whether it is overdue.
        self._delivery: asyncio.Future[Any] | None = None
        self._sent_at, self._is_undelivered = 0.0, False
        self._repeat_paused_at = 0.0

    def __len__(self) -> int:
        """Number of steps that have a deadline."""
        return len(self._deadlines)

    def observe(self, timestamp_s: float) -> None:
        """A record with this timestamp was read."""
        if self.clock.observe(timestamp_s):
            self._deadlines.grant_grace(self.clock.now())

    def restart(self, jobs: Iterable[Job], last_change_s: float) -> None:
        """Replace all deadlines by those of `jobs`. `last_change_s`: the newest date of their rows."""
        self.clock.observe(last_change_s)
        self._deadlines.restart(self.clock.now())
        for job in jobs:
            self._deadlines.watch(job)
        self._repeat_paused_at = 0.0

    def apply(self, changes: RecordChanges) -> None:
        """Update the deadlines of what a record has changed."""
        for heartbeat in changes.heartbeats:
            self._deadlines.renew(heartbeat, changes.now)
        for job in changes.changed.values():
            self._deadlines.watch(job)

    def tick(self) -> None:
        """Send the events that are due, forget deleted jobs, repeat paused queues."""
        now = self.clock.now()
        if self._delivers(now):
            self._send_due(now)
        self._forget_deleted(now)
        if now >= self._repeat_paused_at:
            self._repeat_paused_at = now + _REPEAT_PAUSED_S
            paused = [queue for queue in self._tables.queues.values() if queue.paused]
            self._publisher.publish([effect for queue in paused for effect in queue_effects(queue)], now)

    def _delivers(self, now: float) -> bool:
        """Whether the broker takes due events. Grants the grace period when it does so again."""
        if self._delivery is not None and not self._delivery.done():
            self._is_undelivered = self._is_undelivered or now - self._sent_at > _UNDELIVERED_S
            return not self._is_undelivered
        if self._is_undelivered:
            self._is_undelivered = False
            self._deadlines.grant_grace(now)
        return True

    def _send_due(self, now: float) -> None:
        for _ in range(_MAX_PER_TICK):
            step_key = self._deadlines.next_due(now)
            if step_key is None:
                return
            row = self._tables.jobs.get(step_key[0])
            event = self._deadlines.event_for(decode_job(row), step_key[1], now) if row is not None else None
            if event is not None:
                self._send(event, now)

    def _send(self, event: StepEvent | JobDue, now: float) -> None:
        about = (event.job_id,) if isinstance(event, JobDue) else (event.job_id, event.run, event.step, event.attempt)
        event_id = "/".join(map(str, (*about, event.TYPE)))
        encoded = structured(
            event, event_id=event_id, source=SOURCE, subject=event.asset_id, correlation_id=event.job_id
        )
        partition = partition_of(event.asset_id, self._tables.partitions)
        self._delivery, self._sent_at = self._app.outbox.put(self._topic, partition, encoded), now

    def _forget_deleted(self, now: float) -> None:
        """Delete the marks of deleted jobs that no message can recreate any more."""
        for mark in self._tables.deleted.take_due(now - DELETED_TTL_S, _MAX_PER_TICK):
            self._tables.jobs.delete(deleted_key(mark.job_id), mark.partition)

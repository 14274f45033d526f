"""ActiveDispatcher: a dispatcher that runs in this process, with the readers that feed it.

It starts over after each failure of a reader: everything that it knows follows from rows, reports and step events.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Set
from contextlib import AbstractAsyncContextManager
from typing import Any, NoReturn

from aiokafka import TopicPartition

from agents.control.dispatch.event_ends import EventEnds
from agents.control.dispatch.open_jobs import OpenJobs
from agents.control.dispatch.queue_reporter import QueueReporter
from agents.control.dispatch.remote_rows import RemoteRows
from agents.control.dispatch.requests import DispatchSender
from agents.control.dispatch.rules import rules_of
from agents.control.job_tables import JobTables
from schemas.executors import ExecutorReport
from schemas.jobs import Job, Queue
from schemas.steps import step_kinds
from streams.kafka.executor_reports import SILENT_S, DatedReport, read_recent, reports_of, silent_before
from streams.kafka.reader import FOLLOWER_MS, fetch_from, open_reader
from streams.kafka.reader_watch import watch_reader
from streams.kafka.retry import follow_forever
from streams.kafka.topics import names
from streams.settings import Settings
from streams.worker.app import KinologApp
from tables.dispatch.dispatcher import Dispatcher
from tables.dispatch.rows import observe_job, observe_queue
from tables.log_clock import LogClock

log = logging.getLogger(__name__)

#: Seconds between checks of what is due: missed reports, requests that are not accepted.
_TICK_S = 0.25
#: Seconds within which gives are sent together.
_GROUP_S = 0.005
#: Longest wait until step events are read to their end. A request may be given twice afterwards; the second acceptance
#: is revoked.
_READ_S = 15.0
_POLL_S = 0.01


class ActiveDispatcher:
    """One dispatcher from its start to its end."""

    def __init__(self, app: KinologApp, settings: Settings, tables: JobTables, owned: Set[int], changelog: str) -> None:
        self._app, self._settings, self._tables, self._owned = app, settings, tables, owned
        self._topics = names(settings)
        self._reports = TopicPartition(self._topics.executors, 0)
        remote = sorted(set(range(settings.partitions)) - owned)
        self._remote = [TopicPartition(changelog, partition) for partition in remote]
        #: The log's time, for events; the dispatcher has a clock that nobody sets.
        self._clock = LogClock()
        self._started = time.time() - time.monotonic()
        self._jobs = OpenJobs(tables, owned)
        self._sender = DispatchSender(app, settings, self._jobs)
        self._queue_reporter = QueueReporter(app, settings)
        self._event_ends = EventEnds(settings, app.continuity, self._jobs, owned)
        self._dispatcher: Dispatcher | None = None
        #: Jobs that were changed while the dispatcher loads.
        self._changed: set[str] = set()
        self._number = 0
        self._task: asyncio.Task[None] | None = None
        #: When gives were sent, by the loop's clock, and when they will be again.
        self._flushed_at = 0.0
        self._next_flush: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start reading."""
        self._task = asyncio.create_task(self._run(), name="dispatcher")

    def stop(self) -> None:
        """Stop at once: another process may be the dispatcher now."""
        self._dispatcher = None
        if self._task is not None:
            self._task.cancel()
        if self._next_flush is not None:
            self._next_flush.cancel()
            self._next_flush = None

    @property
    def is_giving(self) -> bool:
        """Whether it has started, and gives."""
        return self._dispatcher is not None and self._dispatcher.phase == "giving"

    def observe(self, changed: Iterable[Job | Queue], at: float) -> None:
        """Rows of this process were changed, `at` the time of their record. Never raises."""
        try:
            self._clock.observe(at)
            now, dispatcher = self._now(), self._dispatcher
            for row in changed:
                if isinstance(row, Queue):
                    self._observe_queue(row)
                    continue
                self._jobs.note(row)
                if dispatcher is None:
                    self._changed.add(row.id)
                else:
                    observe_job(dispatcher, row, now)
        except Exception as error:  # noqa: BLE001 - a bug: no record is to blame for it
            self._start_over(error)

    def flush(self) -> None:
        """Give what can be given, a moment later when it was done a moment ago. Never raises.

        Under load the gives of several records share a record: without it, each record of events caused a smaller
        record of requests, until every record had one.
        """
        loop = asyncio.get_running_loop()
        if self._next_flush is None:
            if loop.time() >= self._flushed_at + _GROUP_S:
                self._flush()
            else:
                self._next_flush = loop.call_at(self._flushed_at + _GROUP_S, self._flush)

    def _flush(self) -> None:
        self._next_flush, dispatcher = None, self._dispatcher
        try:
            gives = dispatcher.give(self._now()) if dispatcher is not None else []
            if gives:  # what follows a report by which nothing is given need not wait
                self._flushed_at = asyncio.get_running_loop().time()
            for give in gives:
                self._sender.request(give, self._number)
        except Exception as error:  # noqa: BLE001 - as above
            self._start_over(error)

    def _start_over(self, error: Exception) -> None:
        """Read everything again."""
        log.error("dispatcher failed", exc_info=error)
        self.stop()
        self.start()

    def _now(self) -> float:
        return self._started + time.monotonic()

    def _observe_queue(self, queue: Queue) -> None:
        if self._dispatcher is not None:
            observe_queue(self._dispatcher, queue)

    async def _run(self) -> NoReturn:
        await follow_forever("dispatcher", self._connect, self._dispatch, also=(Exception,), on_failure=self._forget)

    def _forget(self) -> None:
        self._dispatcher = None

    def _connect(self) -> AbstractAsyncContextManager[Any]:
        parts = [self._reports, *self._remote]
        return open_reader(self._settings.cluster, parts, reset="earliest", wait_ms=FOLLOWER_MS)

    async def _dispatch(self, reader: Any) -> None:
        """Load, start, and follow until a reader fails."""
        self._dispatcher = None
        reports, end = await read_recent(reader, self._reports)
        self._next = {self._reports: end}
        number = max(int(time.time() * 1000), self._number, *(report.poke for report, _ in reports)) + 1
        dispatcher = Dispatcher(step_kinds(), rules_of(self._settings), number)
        async for job in self._jobs.own():
            observe_job(dispatcher, job, self._now())
        await self._read_remote(reader, dispatcher)
        self._begin(dispatcher, number, reports)
        async with (
            open_reader(self._settings.cluster, self._event_ends.parts, reset="earliest") as ends_reader,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._follow(reader))
            group.create_task(self._watch(dispatcher, ends_reader))
            group.create_task(watch_reader(reader, ends_reader, [self._reports, *self._remote]))

    async def _read_remote(self, reader: Any, dispatcher: Dispatcher) -> None:
        remote = RemoteRows(self._tables.jobs, self._remote)
        async for record in remote.read(reader):
            self._note_remote(record, dispatcher)
        self._jobs.note_applied(remote.applied)
        self._next |= remote.ends

    def _note_remote(self, record: Any, dispatcher: Dispatcher) -> None:
        row = self._jobs.note_remote(record)
        if isinstance(row, Queue):
            observe_queue(dispatcher, row)
        elif row is not None:
            observe_job(dispatcher, row, self._now())

    def _begin(self, dispatcher: Dispatcher, number: int, reports: list[DatedReport]) -> None:
        self._dispatcher, self._number = dispatcher, number
        for queue in self._tables.queues.values():
            self._observe_queue(queue)
        changed, self._changed = self._changed, set()
        for job_id in changed:
            if (job := self._jobs.get(job_id)) is not None:
                observe_job(dispatcher, job, self._now())
        now, latest = self._now(), {dated.report.executor_id: dated for dated in reports}
        fresh = silent_before(latest.values(), time.time()) + SILENT_S
        for report, at in latest.values():
            self._report(dispatcher, report, now - max(fresh - at, 0.0))
        pokes = dispatcher.begin(self._now())
        for poke in pokes:
            self._sender.poke(poke)
        log.info("dispatcher started", extra={"number": number, "executors": len(pokes)})

    async def _follow(self, reader: Any) -> None:
        fetch_from(reader, self._next)
        while True:
            for part, records in (await reader.getmany(timeout_ms=5_000)).items():
                dispatcher = self._dispatcher
                if dispatcher is None:
                    return
                for record in records:
                    if part != self._reports:
                        self._note_remote(record, dispatcher)
                    for report, _ in reports_of(record) if part == self._reports else ():
                        self._report(dispatcher, report, self._now())
            self.flush()

    def _report(self, dispatcher: Dispatcher, report: ExecutorReport, at: float) -> None:
        """`at` by the dispatcher's clock: reports are read in the order of the log, whatever the broker dates them."""
        for lost in dispatcher.report(report, at, self._now()):
            self._sender.expire(lost, self._clock.now())
        for held in report.refused:
            key = (held.job_id, held.run, held.step, held.attempt)
            dispatcher.refused(key, report.session_id, report.seq - 1)

    async def _watch(self, dispatcher: Dispatcher, ends_reader: Any) -> None:
        """Act on what is due, first on the start."""
        while dispatcher.phase == "poking":
            await asyncio.sleep(_POLL_S)
            dispatcher.tick(self._now())
        await self._read_events(ends_reader)
        dispatcher.caught_up()
        log.info("dispatcher ready", extra={"number": self._number})
        while True:
            self.flush()
            await asyncio.sleep(_TICK_S)
            dispatcher.tick(self._now(), read_until=0.0)
            self._queue_reporter.report(dispatcher.ledger, self._number)
            if dispatcher.is_overdue(self._now()):  # or its acceptance waits to be read
                until = self._now()
                await self._read_events(ends_reader)
                dispatcher.tick(self._now(), read_until=until)

    async def _read_events(self, ends_reader: Any) -> None:
        """Return when step events are applied up to their end as it is now."""
        ends, deadline = await self._event_ends.now(ends_reader), time.monotonic() + _READ_S
        while not self._event_ends.are_applied(ends):
            if time.monotonic() > deadline:
                log.warning("dispatcher goes on before all step events are read")
                return
            await asyncio.sleep(_POLL_S)

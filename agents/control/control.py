"""Control: applies the records of the owned partitions, each once and in order."""

import asyncio
import logging
from typing import Any

from agents.control import decisions
from agents.control.dispatch.host import Dispatching
from agents.control.effects import SOURCE, EffectPublisher
from agents.control.job_tables import JobTables
from agents.control.lost_records import lost_records, put_right
from agents.control.record_changes import RecordChanges
from agents.control.recovery import rebuild_indexes
from agents.control.rejections import Rejected
from agents.control.timers import Timers
from agents.control.watermarks import Watermarks
from schemas.base import ErrorRecord
from schemas.processes import ControlReported
from streams.ids import new_id
from streams.kafka.clock_skew import SkewAlarm
from streams.kafka.envelope import Entry, Unreadable, fault_of, read, structured
from streams.kafka.topics import names
from streams.settings import Settings
from streams.worker.app import KinologApp
from streams.worker.quarantine import LIMIT, position_of, quarantined
from tables.changelog_table import ChangelogTable
from tables.rows import AppliedOffsets

log = logging.getLogger(__name__)

#: The broker has set the timestamp. Source: Kafka protocol, RecordBatch attributes, timestamp type.
_LOG_APPEND_TIME = 1


class Control:
    """The consumer side of the state machine: reads records, writes rows, publishes effects."""

    def __init__(
        self,
        app: KinologApp,
        settings: Settings,
        jobs: ChangelogTable,
        assets: ChangelogTable,
        dispatcher: Dispatching,
    ) -> None:
        self._app, self._topics, self._dispatcher = app, names(settings), dispatcher
        self._tables = JobTables(jobs, assets, settings.partitions)
        self._publisher = EffectPublisher(app, settings)
        self._timers = Timers(app, settings, self._tables, self._publisher)
        self._watermarks = Watermarks(app.continuity, settings, self._tables)
        self._skew = SkewAlarm()
        #: Number of recoveries that have begun.
        self._recoveries = 0
        #: The delivery of the last report of this process.
        self._report_delivery: asyncio.Future[Any] | None = None

    async def handle(self, message: Any) -> None:
        """Apply every entry of a Kafka record, and publish what follows. Never raises: an entry that cannot be applied
        becomes a dead letter, and any other error ends the process.

        A record that ended the process before is applied entry by entry at the third try, and not at all at the fourth.
        """
        place = position_of(message)
        crashes = self._app.quarantine.crashes(place)
        try:
            if crashes.times:  # otherwise each start would read an upload event again, and write another such record
                await self._app.commit_all()
            if crashes.times >= LIMIT:
                self._publisher.dead_letter(message, message.value or b"", quarantined(crashes))
                self._commit(self._changes_of(message), message)
            else:
                with self._app.quarantine.handling(place):
                    (self._apply_each if crashes.times == LIMIT - 1 else self._apply_all)(message)
            self._dispatcher.flush()
            await self._app.batch_sender.send_all()
        except Exception as error:  # rows or effects may be published in part, and only a replay repairs that
            log.exception("record failed")
            await self._app.exit_over_record(message, error)

    def _apply_all(self, message: Any) -> None:
        changes = self._changes_of(message)
        for entry in read(message.value, message.headers or ()):
            self._apply(changes, message, entry)
        self._commit(changes, message)

    def _apply_each(self, message: Any) -> None:
        """One of the entries has ended the process before: whichever fails becomes a dead letter."""
        for entry in read(message.value, message.headers or ()):
            changes = self._changes_of(message)
            try:
                self._apply(changes, message, entry)
            except Exception as error:
                log.exception("entry failed")
                record = ErrorRecord(code="internal-error", message=f"control failed: {error!r}")
                self._publisher.dead_letter(message, entry.content, record)
            else:
                self._write(changes, {})
        self._commit(self._changes_of(message), message)
        self._watermarks.write_all()

    def _apply(self, changes: RecordChanges, message: Any, entry: Entry | Unreadable) -> None:
        try:
            if isinstance(entry, Unreadable):
                raise Rejected(entry.code, entry.reason)
            decisions.apply(changes, entry.message)
        except Rejected as rejected:
            error = ErrorRecord(code=rejected.code, message=str(rejected))
            self._publisher.dead_letter(message, entry.content, error)
            if isinstance(entry, Entry):
                decisions.refuse(changes, entry.message, error)

    def _changes_of(self, message: Any) -> RecordChanges:
        replayed = message.offset <= self._app.continuity.claimed(message.topic, message.partition)
        has_timestamp = fault_of(message.headers or ()) is None
        if has_timestamp:
            self._timers.observe(message.timestamp)
        now = message.timestamp if has_timestamp else self._timers.clock.now()
        return RecordChanges(self._tables, message.partition, now, replayed=replayed)

    def _commit(self, changes: RecordChanges, message: Any) -> None:
        """Write the changes of a record, and that it is applied."""
        is_recorded = self._write(changes, {message.topic: message.offset})
        self._app.continuity.claim(message.topic, message.partition, message.offset)
        if not is_recorded:
            self._watermarks.add(message.partition)

    def _write(self, changes: RecordChanges, at: dict[str, int]) -> bool:
        is_recorded = changes.write(at)
        self._timers.apply(changes)
        self._publisher.publish(changes.effects, changes.now)
        self._dispatcher.observe(changes.changed_rows, changes.now)
        return is_recorded

    async def recovered(self) -> None:
        """Rebuild what is derived from the tables: they hold other partitions now."""
        self._recoveries += 1
        number, owned = self._recoveries, self._owned()
        recovered = await rebuild_indexes(self._tables, owned, lambda: number == self._recoveries)
        if recovered is None:
            return  # Faust does not end this call when it begins another recovery
        self._timers.restart(recovered.jobs, recovered.last_change_s)
        self._watermarks.clear()
        existing = await self._existing(owned, recovered.applied)
        if number != self._recoveries:
            return
        complete = {source: min(offset, recovered.complete[source]) for source, offset in existing.items()}
        self._app.continuity.reclaim(existing, complete)
        self._dispatcher.restart(self._tables, owned)
        facts = {"partitions": len(owned), "rows": recovered.rows, "waiting": len(self._timers)}
        log.info("tables recovered", extra=facts)

    async def _existing(self, owned: set[int], applied: AppliedOffsets) -> AppliedOffsets:
        """Applied offsets of records that the log has; others are taken out of the rows."""
        topics = (self._topics.commands, self._topics.step_events, self._topics.uploads)
        ends = await self._app.log_ends(source for source in applied if source[0] in topics)
        if not (lost := lost_records(applied, ends)):
            return applied
        existing = await put_right(self._tables, owned, applied, lost)
        await self._app.batch_sender.send_all()
        return existing

    async def tick(self) -> None:
        """Send what is due, and write watermarks. To be called every second."""
        self._timers.tick()
        self._watermarks.add(*(tp.partition for tp in self._app.pass_skipped()))
        await self.write_watermarks()
        self._report()

    async def write_watermarks(self) -> None:
        """Write the pending watermarks. Returns when aiokafka has them."""
        self._watermarks.write_all()
        await self._app.batch_sender.send_all()

    def mark_later(self, partition: int) -> None:
        """Write the watermark of `partition` at the next tick: an applied offset is in no row yet."""
        self._watermarks.add(partition)

    def _report(self) -> None:
        """Report to web which partitions this process decides. A report that is lost is repeated at the next tick."""
        if self._report_delivery is not None and not self._report_delivery.done():
            return  # no broker: one waiting report is enough
        partitions = self._owned()
        if self._app.is_reading and partitions:
            report = ControlReported(
                control=self._app.conf.broker_client_id,
                partitions=tuple(sorted(partitions)),
                dispatching=self._dispatcher.is_giving,
            )
            encoded = structured(report, event_id=new_id("report"), source=SOURCE, subject=report.control)
            self._report_delivery = self._app.outbox.put(self._topics.progress, 0, encoded)
            self._report_delivery.add_done_callback(self._observe_delivery)
            self._skew.watch(self._report_delivery)

    def _observe_delivery(self, delivery: asyncio.Future[Any]) -> None:
        """The broker has dated a report: it tells the log's time also where nothing else is written.

        After a restart the clock would otherwise go on from the newest row, and a job that was to start while no
        control ran would start late by that long.
        """
        metadata = delivery.result() if not delivery.cancelled() and delivery.exception() is None else None
        if metadata is not None and metadata.timestamp_type == _LOG_APPEND_TIME:
            self._timers.observe(metadata.timestamp / 1000)

    def _owned(self) -> set[int]:
        return {tp.partition for tp in self._app.consumer.assignment() if tp.topic == self._topics.commands}

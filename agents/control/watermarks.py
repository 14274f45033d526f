"""Watermarks: rows of both tables that record how far each source topic is applied."""

from agents.control.job_tables import JobTables
from streams.kafka.topics import names
from streams.settings import Settings
from streams.worker.continuity import Continuity
from tables.rows import watermark_row


class Watermarks:
    """The partitions whose applied offsets no other row carries yet."""

    def __init__(self, continuity: Continuity, settings: Settings, tables: JobTables) -> None:
        topics = names(settings)
        self._continuity, self._tables = continuity, tables
        self._sources = (topics.commands, topics.step_events, topics.uploads)
        self._pending: set[int] = set()

    def add(self, *partitions: int) -> None:
        """Include these partitions in the next `write_all`."""
        self._pending.update(partitions)

    def clear(self) -> None:
        """Forget what is pending: the partitions may be another process's now."""
        self._pending.clear()

    def write_all(self) -> None:
        """Write the watermark of every pending partition."""
        for partition in sorted(self._pending):
            self._write(partition)
        self._pending.clear()

    def _write(self, partition: int) -> None:
        offsets = {topic: self._continuity.claimed(topic, partition) for topic in self._sources}
        key, row = watermark_row(partition, {topic: offset for topic, offset in offsets.items() if offset >= 0})
        for table in (self._tables.assets, self._tables.jobs):
            table.put(key, row, partition)

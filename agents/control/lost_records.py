"""Records that the tables have applied and the log has lost, with a disk or a power cut: found, logged, and put right.

New records get the lost ones' offsets again: as long as rows claim to have applied these, they would count as replays.
"""

import logging
from collections.abc import Iterator, Set

from agents.control.job_tables import JobTables
from agents.control.recovery import partition_of_row
from streams.kafka.envelope import UNDECODABLE
from streams.process.turns import in_turns
from tables.changelog_table import ChangelogTable
from tables.rows import AppliedOffsets, Row, decode_row, encode_with_offsets, watermark_row

log = logging.getLogger(__name__)

_REMEDY = "a power cut or a lost disk: jobs whose events were lost run their steps again"


def lost_records(applied: AppliedOffsets, ends: AppliedOffsets) -> AppliedOffsets:
    """Of each source partition that ends (`ends`) before its applied offset: its last offset, -1 for none."""
    return {source: end - 1 for source, end in ends.items() if applied[source] >= end}


async def put_right(
    tables: JobTables, owned: Set[int], applied: AppliedOffsets, lost: AppliedOffsets
) -> AppliedOffsets:
    """Take the claims on lost records out of all rows, and say so in a watermark. Returns the applied offsets.

    The tables are not sent yet. Killed before that is done, the next recovery does it again.
    """
    for (topic, partition), offset in lost.items():
        fields = {"topic": topic, "partition": partition, "applied": applied[topic, partition], "last": offset}
        log.error("the log has lost records that were applied", extra={**fields, "hint": _REMEDY})
    for table in (tables.jobs, tables.assets):
        async for key, row, partition in in_turns(_rows(table, tables)):
            if partition in owned and any(at > lost.get((topic, partition), at) for topic, at in row.at.items()):
                table.put(key, encode_with_offsets(row, {}), partition)
    applied = {source: lost.get(source, offset) for source, offset in applied.items()}
    for partition in {partition for _, partition in lost}:
        _write_watermark(tables, partition, applied, tuple(topic for topic, number in lost if number == partition))
    return {source: offset for source, offset in applied.items() if offset >= 0}


def _rows(table: ChangelogTable, tables: JobTables) -> Iterator[tuple[str, Row, int]]:
    for key, encoded in table.items():
        try:
            row = decode_row(key, encoded, is_asset=table is tables.assets)
        except (*UNDECODABLE, ValueError, IndexError):
            continue  # another writer has overwritten it; rebuild_indexes logs it
        if row is not None:
            yield key, row, partition_of_row(tables.partitions, row)


def _write_watermark(tables: JobTables, partition: int, applied: AppliedOffsets, lost: tuple[str, ...]) -> None:
    at = {topic: offset for (topic, number), offset in applied.items() if number == partition and offset >= 0}
    key, row = watermark_row(partition, at, lost)
    for table in (tables.assets, tables.jobs):
        table.put(key, row, partition)

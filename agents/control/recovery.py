"""Recovery: everything that control derives from its rows, rebuilt after a change of the owned partitions."""

import contextlib
import logging
from collections import deque
from collections.abc import Collection, Iterator, Set
from functools import partial
from typing import NamedTuple

from agents.control.job_tables import DeletedAt, JobTables
from schemas.jobs import Asset, DeletedJob, Job, Queue
from streams.kafka.envelope import UNDECODABLE
from streams.kafka.partitioner import partition_of
from tables.assets import LISTED_JOBS
from tables.queues import queue_key
from tables.rows import (
    AppliedOffsets,
    Row,
    applied_of,
    applied_offsets,
    decode_asset,
    decode_watermark,
    split_rows,
    watermark_partition,
)

log = logging.getLogger(__name__)


class _OwnedRow(NamedTuple):
    partition: int
    #: None: a watermark.
    row: Job | DeletedJob | Queue | None
    #: Applied offset by source topic.
    at: dict[str, int]


class Recovered(NamedTuple):
    """What the rows of the owned partitions say."""

    jobs: list[Job]
    #: Newest change, seconds since the epoch; 0 without rows.
    last_change_s: float
    #: Applied offset by source topic and partition.
    applied: AppliedOffsets
    #: The same, where the assets have it too: a power cut may take the last rows of one table only.
    complete: AppliedOffsets
    rows: int


def rebuild_indexes(tables: JobTables, owned: Set[int]) -> Recovered:
    """Rebuild the indexes of `tables` from the rows of the `owned` partitions. Other rows are left over and ignored."""
    rows = [owned_row for owned_row in _readable_rows(tables) if owned_row.partition in owned]
    jobs = [row for _, row, _ in rows if isinstance(row, Job)]
    deleted = [DeletedAt(row.deleted_at, row.id, p) for p, row, _ in rows if isinstance(row, DeletedJob)]
    tables.deleted = deque(sorted(deleted))
    tables.queues = {row.step: row for _, row, _ in rows if isinstance(row, Queue)}
    tables.refused.rebuild(jobs)
    accepted = [job for job in jobs if not job.refused]
    tables.unlisted.rebuild(accepted, LISTED_JOBS, partial(_listed, tables), partial(_has_row, tables))
    last_change_s = max((_changed_at(row) for _, row, _ in rows), default=0.0)
    applied = applied_offsets((partition, at) for partition, _, at in rows)
    assets = applied_offsets(_asset_offsets(tables))
    complete = {source: min(offset, assets.get(source, -1)) for source, offset in applied.items()}
    return Recovered(jobs, last_change_s, applied, complete, len(rows))


def _asset_offsets(tables: JobTables) -> Iterator[tuple[int, dict[str, int]]]:
    """Partition and applied offsets of each row of the assets."""
    for key, encoded in tables.assets.items():
        with contextlib.suppress(*UNDECODABLE, ValueError):
            if (partition := watermark_partition(key)) is not None:
                yield partition, decode_watermark(encoded)
            else:
                yield partition_of(key, tables.partitions), applied_of(encoded)


def _readable_rows(tables: JobTables) -> Iterator[_OwnedRow]:
    """All rows but those that another writer has overwritten: they must not end control at each start."""
    for key, encoded in tables.jobs.items():
        try:
            [(_, row, at)] = split_rows([(key, encoded)])
            yield _OwnedRow(_partition(tables, key, row), row, at)
        except (*UNDECODABLE, ValueError, IndexError) as error:
            log.error("row unreadable", extra={"row": key[:100], "reason": str(error)})  # noqa: TRY400  no traceback needed


def _partition(tables: JobTables, key: str, row: Job | DeletedJob | Queue | None) -> int:
    return int(key[1:]) if row is None else partition_of_row(tables.partitions, row)


def partition_of_row(partitions: int, row: Row) -> int:
    """The partition of a row's records."""
    match row:
        case Queue():
            return partition_of(queue_key(row.step), partitions)
        case Asset():
            return partition_of(row.id, partitions)
    return partition_of(row.asset_id, partitions)


def _listed(tables: JobTables, asset_id: str) -> Collection[str]:
    row = tables.assets.get(asset_id)
    return decode_asset(row).jobs if row is not None else ()


def _has_row(tables: JobTables, asset_id: str) -> bool:
    return tables.assets.get(asset_id) is not None


def _changed_at(row: Job | DeletedJob | Queue | None) -> float:
    match row:
        case Job():
            return row.updated_at
        case DeletedJob():
            return row.deleted_at
        case Queue():
            return row.changed_at
    return 0.0

"""Recovery: everything that control derives from its rows, rebuilt after a change of the owned partitions."""

import logging
from collections import deque
from collections.abc import Collection, Iterator, Set
from functools import partial
from typing import NamedTuple

from agents.control.job_tables import DeletedAt, JobTables
from schemas.jobs import DeletedJob, Job, Queue
from streams.kafka.envelope import UNDECODABLE
from streams.kafka.partitioner import partition_of
from tables.assets import LISTED_JOBS
from tables.queues import queue_key
from tables.rows import AppliedOffsets, applied_offsets, decode_asset, split_rows

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
    return Recovered(jobs, last_change_s, applied_offsets((partition, at) for partition, _, at in rows), len(rows))


def _readable_rows(tables: JobTables) -> Iterator[_OwnedRow]:
    """All rows but those that another writer has overwritten: they must not end control at each start."""
    for key, encoded in tables.jobs.items():
        try:
            [(_, row, at)] = split_rows([(key, encoded)])
            yield _OwnedRow(_partition(tables, key, row), row, at)
        except (*UNDECODABLE, ValueError, IndexError) as error:
            log.error("row unreadable", extra={"row": key[:100], "reason": str(error)})  # noqa: TRY400  no traceback needed


def _partition(tables: JobTables, key: str, row: Job | DeletedJob | Queue | None) -> int:
    if row is None:
        return int(key[1:])
    return partition_of(queue_key(row.step) if isinstance(row, Queue) else row.asset_id, tables.partitions)


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

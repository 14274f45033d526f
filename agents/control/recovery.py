"""Recovery: everything that control derives from its rows, rebuilt after a change of the owned partitions."""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Set
from functools import partial
from itertools import chain
from typing import NamedTuple

from agents.control.job_tables import JobTables
from schemas.jobs import Asset, DeletedJob, Job, Queue
from streams.kafka.envelope import UNDECODABLE
from streams.kafka.partitioner import partition_of
from streams.process.turns import in_turns
from streams.worker.cached_changelog import CacheNotWritten
from tables.assets import LISTED_JOBS
from tables.cache.deleted_marks import DeletedAt, Marks, MarksInCache, MarksInMemory
from tables.cache.keys import CROWDED, scope
from tables.cache.row_cache import Position, RowCache
from tables.changelog_table import ChangelogTable
from tables.queues import queue_key
from tables.rows import (
    AppliedOffsets,
    Row,
    applied_of,
    applied_offsets,
    decode_asset,
    decode_job,
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


async def rebuild_indexes(tables: JobTables, owned: Set[int], is_current: Callable[[], bool]) -> Recovered | None:
    """Rebuild the indexes of `tables` from the rows of the `owned` partitions. Other rows are left over and ignored.

    None, and nothing is changed, where another recovery has begun meanwhile (`is_current`).
    """
    rows = [row async for row in in_turns(_readable_rows(tables, owned)) if row.partition in owned]
    jobs = [row for _, row, _ in rows if isinstance(row, Job)]
    crowded = await _jobs_of_crowded_assets(tables, owned, [job for job in jobs if not job.refused])
    if not is_current():
        return None
    tables.deleted = _marks(tables, owned, rows)
    tables.queues = {row.step: row for _, row, _ in rows if isinstance(row, Queue)}
    tables.refused.rebuild(jobs)
    tables.unlisted.rebuild(crowded, LISTED_JOBS, partial(_listed, tables), partial(_has_row, tables))
    positions = _positions(tables.jobs, owned)
    last_change_s = max(
        (*(_changed_at(row) for _, row, _ in rows), *(known.last_change_s for _, known in positions)), default=0.0
    )
    applied = applied_offsets(
        (
            *((partition, at) for partition, _, at in rows),
            *((partition, known.applied) for partition, known in positions),
        )
    )
    assets = applied_offsets(
        (*_asset_offsets(tables), *((number, known.applied) for number, known in _positions(tables.assets, owned)))
    )
    complete = {source: min(offset, assets.get(source, -1)) for source, offset in applied.items()}
    return Recovered(jobs, last_change_s, applied, complete, len(rows))


def _positions(table: ChangelogTable, owned: Set[int]) -> list[tuple[int, Position]]:
    """What the rows in the row cache say together, by partition."""
    known = ((partition, table.rows.position(partition)) for partition in sorted(owned))
    return [(partition, position) for partition, position in known if position is not None]


def _marks(tables: JobTables, owned: Set[int], rows: list[_OwnedRow]) -> Marks:
    if (cache := tables.jobs.rows.cache) is not None:
        return MarksInCache(cache, owned)
    return MarksInMemory(DeletedAt(row.deleted_at, row.id, p) for p, row, _ in rows if isinstance(row, DeletedJob))


async def _jobs_of_crowded_assets(tables: JobTables, owned: Set[int], in_memory: list[Job]) -> list[Job]:
    """The accepted jobs of all assets whose row may not list all of their jobs: it is full, or gone."""
    cache = tables.jobs.rows.cache
    if cache is None:
        return in_memory
    jobs: list[Job] = []
    for partition in sorted(owned):
        crowded, others = list[bytes](), list[bytes]()
        async for asset_id in _candidates(tables, cache, partition):
            found = [job async for job in _jobs_of(tables, asset_id, partition)]
            has_more = len(found) > LISTED_JOBS or (found and not _has_row(tables, asset_id.decode(errors="replace")))
            (crowded if has_more else others).append(asset_id)
            jobs += found if has_more else ()
        with contextlib.suppress(CacheNotWritten):  # they are counted again
            cache.set_counted(partition, crowded, others)
    return jobs


async def _candidates(tables: JobTables, cache: RowCache, partition: int) -> AsyncIterator[bytes]:
    """Assets whose jobs are to be read. In a new cache the jobs of all assets are counted, by their keys."""
    if cache.is_counted(partition):
        async for key in in_turns(cache.keys(scope(CROWDED, partition))):
            yield key[3:]
        return
    asset_id, count = b"", 0
    async for found, _ in in_turns(chain(tables.jobs.rows.jobs_by_asset(partition), [(b"", b"")])):
        if found == asset_id:
            count += 1
            continue
        if count > LISTED_JOBS or (count and not _has_row(tables, asset_id.decode(errors="replace"))):
            yield asset_id
        asset_id, count = found, 1


async def _jobs_of(tables: JobTables, asset_id: bytes, partition: int) -> AsyncIterator[Job]:
    async for _, encoded in in_turns(tables.jobs.rows.jobs_of(asset_id, partition)):
        with contextlib.suppress(*UNDECODABLE):
            yield decode_job(encoded)


def _asset_offsets(tables: JobTables) -> Iterator[tuple[int, dict[str, int]]]:
    """Partition and applied offsets of the rows of the assets in memory, and of all watermarks."""
    for raw, encoded in tables.assets.rows.in_memory():
        key = raw.decode(errors="replace")
        with contextlib.suppress(*UNDECODABLE, ValueError):
            if (partition := watermark_partition(key)) is not None:
                yield partition, decode_watermark(encoded)
            else:
                yield partition_of(key, tables.partitions), applied_of(encoded)


def _readable_rows(tables: JobTables, owned: Set[int]) -> Iterator[_OwnedRow]:
    """The rows that control acts on but those that another writer has overwritten: they must not end control at each
    start.
    """
    for key, encoded in tables.jobs.items_to_act_on(owned):
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

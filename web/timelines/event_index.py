"""The index of `media.events` in a file that can be rebuilt: offsets of each job's events, and counts of the past."""

import asyncio
import logging
import sqlite3
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from schemas.facts import JobDeleted
from web.readmodel import database_file
from web.readmodel.projector import transaction
from web.readmodel.queries import Counts
from web.timelines import past_counts
from web.timelines.past_counts import PastCounts

log = logging.getLogger("kinolog.web")

T = TypeVar("T")

#: Header of an event with its job id.
JOB_HEADER = "ce_correlationid"
_TYPE_HEADER = "ce_type"
_DELETED = JobDeleted.TYPE.encode()
#: Largest difference between the clocks of producers, seconds.
SKEW_S = 60.0

#: Events that are kept of one job, the newest: some 70 retries of a job of five steps.
MAX_JOB_EVENTS = 1000
#: Longest job id that is indexed, in characters; web makes ids of at most 100.
_MAX_ID = 200

_VERSION = 2
_TABLES = f"""
-- One row: the log that is indexed.
CREATE TABLE log (name TEXT NOT NULL);
-- All events before `next_offset` are indexed; they are those up to `complete_ms`, ms since the epoch. `last_ms` is the
-- time of the last one; 0: none was read yet. `start`: the first offset that was indexed.
CREATE TABLE partitions (
  partition INTEGER PRIMARY KEY, start INTEGER NOT NULL, next_offset INTEGER NOT NULL,
  last_ms INTEGER NOT NULL, complete_ms INTEGER NOT NULL
);
-- `offsets`: of the job's newest events within its partition, 8 bytes each, in order.
CREATE TABLE jobs (id TEXT PRIMARY KEY, offsets BLOB NOT NULL) WITHOUT ROWID;
{past_counts.TABLES}"""
_ADVANCE = """
UPDATE partitions SET next_offset = ?, last_ms = ?, complete_ms = max(complete_ms, ?) WHERE partition = ?
"""
_COMPLETE = """
UPDATE partitions SET complete_ms = max(complete_ms, ?), next_offset = max(next_offset, ?) WHERE partition = ?
"""
#: Concatenated blobs become text to SQLite, with the same bytes; `substr` would count its characters.
_ADD = f"""
INSERT INTO jobs VALUES (?, ?)
ON CONFLICT (id) DO UPDATE SET offsets = substr(CAST(offsets || excluded.offsets AS BLOB), -{8 * MAX_JOB_EVENTS})
"""  # noqa: S608  a constant


class IndexedEvents(NamedTuple):
    """The indexed events of one job."""

    #: Offsets of the job's newest events, in order, at most MAX_JOB_EVENTS.
    offsets: Sequence[int]
    #: First offset of its partition that is not indexed yet.
    next_offset: int


class IndexEnd(NamedTuple):
    """The end of the index in one partition."""

    #: All events up to this moment are indexed, ms since the epoch.
    complete_ms: int
    next_offset: int


class EventIndex:
    """The file and its thread. A damaged file is recreated, empty. Methods raise sqlite3.Error.

    Where no file can be created, on a full disk for instance, the index is kept in memory, so that web can start.
    """

    def __init__(self, path: Path, max_count_bytes: int = 256 * 1024**2) -> None:
        self._path, self._max_count_bytes = path, max_count_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="event-index")
        reason = database_file.reason_to_replace(path, _VERSION)
        self._db = database_file.connect(path) if reason is None else self._recreated(reason)
        self._counts = PastCounts(self._db, max_count_bytes)

    def close(self) -> None:
        """Close the file after the running work has ended."""
        self._thread.shutdown(cancel_futures=True)
        self._db.close()

    async def reset(self, name: str, starts: Mapping[int, int]) -> None:
        """Clear the index and start it for the log of that name, from these offsets by partition."""
        await self._run(lambda: self._reset(name, starts))

    async def next_offsets(self, name: str) -> dict[int, int]:
        """Next offset to index by partition; empty where the index is of another log, or new."""
        return await self._run(lambda: self._next_offsets(name))

    async def add(self, records: Sequence[Any]) -> None:
        """Index records, in order within each partition. Those of a deleted job are removed."""
        await self._run(lambda: self._add(records))

    async def complete(self, ends: Mapping[int, IndexEnd]) -> None:
        """Note up to where all events of each partition are indexed.

        The last offsets may have no events: those of aborted transactions would be read again with each catch-up.
        """
        await self._run(lambda: self._complete(ends))

    async def of_job(self, partition: int, job_id: str) -> IndexedEvents | None:
        """The indexed events of a job; None where its partition is not indexed."""
        return await self._run(lambda: self._of_job(partition, job_id))

    async def counts_at(self, name: str, moment_ms: int, owner: str | None, *, final: bool = True) -> Counts | None:
        """Counts at a moment, of one owner or of all (None); None where the index is of another log. Raises TooOld.

        `final`: None, too, unless all events up to that moment are indexed.
        """
        return await self._run(lambda: self._counts_at(name, moment_ms, owner, final))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: self._detect_damage(work))

    # In the thread

    def _detect_damage(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.Error as error:
            if database_file.is_damage(error):
                self._db.close()
                self._db = self._recreated(f"it is damaged: {error}")
                self._counts = PastCounts(self._db, self._max_count_bytes)
            raise

    def _recreated(self, reason: str) -> sqlite3.Connection:
        log.info("event index is recreated", extra={"reason": reason})
        try:
            database_file.create(self._path, _TABLES, _VERSION)
            return database_file.connect(self._path)
        except (sqlite3.Error, OSError) as error:
            log.warning("event index is kept in memory", extra={"reason": str(error)})
            db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            db.executescript(_TABLES)
            return db

    def _reset(self, name: str, starts: Mapping[int, int]) -> None:
        with self._transaction() as db:
            for table in ("log", "partitions", "jobs"):
                db.execute(f"DELETE FROM {table}")  # noqa: S608  constant names
            db.execute("INSERT INTO log VALUES (?)", (name,))
            rows = [(partition, offset, offset) for partition, offset in starts.items()]
            db.executemany("INSERT INTO partitions VALUES (?, ?, ?, 0, 0)", rows)
            self._counts.clear()

    def _next_offsets(self, name: str) -> dict[int, int]:
        if self._db.execute("SELECT name FROM log").fetchone() != (name,):
            return {}
        return dict(self._db.execute("SELECT partition, next_offset FROM partitions"))

    def _add(self, records: Sequence[Any]) -> None:
        with self._transaction() as db:
            for partition, some in _by_partition(records).items():
                start, last_ms = db.execute(
                    "SELECT start, last_ms FROM partitions WHERE partition = ?", (partition,)
                ).fetchone()
                if last_ms == 0 and start > 0:
                    self._counts.start_at(some[0].timestamp)
                dated = [*_with_times(some, last_ms)]
                self._counts.add(partition, dated)
                # More events of the last moment may follow.
                position = (some[-1].offset + 1, dated[-1][0], dated[-1][0] - 1, partition)
                db.execute(_ADVANCE, position)
            _index_jobs(db, records)

    def _complete(self, ends: Mapping[int, IndexEnd]) -> None:
        with self._transaction() as db:
            db.executemany(_COMPLETE, [(*end, partition) for partition, end in ends.items()])

    def _counts_at(self, name: str, moment_ms: int, owner: str | None, final: bool) -> Counts | None:
        partitions = [*self._next_offsets(name)]
        (complete_ms,) = self._db.execute("SELECT min(complete_ms) FROM partitions").fetchone()
        if not partitions or (final and complete_ms < moment_ms):
            return None
        return self._counts.at(partitions, moment_ms, owner)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with transaction(self._db) as db:
                yield db
        except BaseException:
            self._counts.reload()
            raise

    def _of_job(self, partition: int, job_id: str) -> IndexedEvents | None:
        position = self._db.execute("SELECT next_offset FROM partitions WHERE partition = ?", (partition,)).fetchone()
        if position is None:
            return None
        row = self._db.execute("SELECT offsets FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return IndexedEvents(array("q", row[0] if row else b""), position[0])


def _by_partition(records: Sequence[Any]) -> dict[int, list[Any]]:
    by_partition: dict[int, list[Any]] = {}
    for record in records:
        by_partition.setdefault(record.partition, []).append(record)
    return by_partition


def _with_times(records: Sequence[Any], last_ms: int) -> Iterator[tuple[int, Any]]:
    """The records of a partition with their times. A broker's clock may go back; a moment divides the log once."""
    for record in records:
        last_ms = max(last_ms, record.timestamp)
        yield last_ms, record


def _index_jobs(db: sqlite3.Connection, records: Sequence[Any]) -> None:
    offsets: dict[str, list[int]] = {}
    deleted: set[str] = set()
    for record in records:
        headers = dict(record.headers)
        job_id = (headers.get(JOB_HEADER) or b"").decode(errors="replace")
        if headers.get(_TYPE_HEADER) == _DELETED:
            deleted.add(job_id)
        elif 0 < len(job_id) <= _MAX_ID:
            offsets.setdefault(job_id, []).append(record.offset)
    packed = [(job_id, array("q", some[-MAX_JOB_EVENTS:]).tobytes()) for job_id, some in sorted(offsets.items())]
    db.executemany(_ADD, packed)
    db.executemany("DELETE FROM jobs WHERE id = ?", [(job_id,) for job_id in deleted])

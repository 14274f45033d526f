"""The index of `media.events`: offsets of each job's events, in a SQLite file that can be rebuilt."""

import asyncio
import logging
import sqlite3
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from web.readmodel import database_file
from web.readmodel.projector import transaction

log = logging.getLogger("kinolog.web")

T = TypeVar("T")

#: Header of an event with its job id.
JOB_HEADER = "ce_correlationid"
#: Largest difference between the clocks of producers, seconds.
SKEW_S = 60.0

_VERSION = 1
_TABLES = """
-- One row: the log that is indexed.
CREATE TABLE log (name TEXT NOT NULL);
-- All events before `next_offset` are indexed.
CREATE TABLE partitions (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
-- `offsets`: of the job's events within its partition, 8 bytes each, in order.
CREATE TABLE jobs (id TEXT PRIMARY KEY, offsets BLOB NOT NULL) WITHOUT ROWID;
"""
#: Concatenated blobs become text to SQLite, with the same bytes.
_ADD = """
INSERT INTO jobs VALUES (?, ?)
ON CONFLICT (id) DO UPDATE SET offsets = CAST(offsets || excluded.offsets AS BLOB)
"""


class IndexedEvents(NamedTuple):
    """The indexed events of one job."""

    #: Offsets of the job's events, in order.
    offsets: Sequence[int]
    #: First offset of its partition that is not indexed yet.
    next_offset: int


class EventIndex:
    """The file and its thread. A damaged file is recreated, empty. Methods raise sqlite3.Error.

    Where no file can be created, on a full disk for instance, the index is kept in memory, so that web can start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="event-index")
        reason = database_file.reason_to_replace(path, _VERSION)
        self._db = database_file.connect(path) if reason is None else self._recreated(reason)

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

    async def add(
        self, offsets: Mapping[str, Sequence[int]], deleted: Collection[str], next_offsets: Mapping[int, int]
    ) -> None:
        """Add offsets by job, remove deleted jobs, and advance each partition."""
        await self._run(lambda: self._add(offsets, deleted, next_offsets))

    async def of_job(self, partition: int, job_id: str) -> IndexedEvents | None:
        """The indexed events of a job; None where its partition is not indexed."""
        return await self._run(lambda: self._of_job(partition, job_id))

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
        with transaction(self._db) as db:
            for table in ("log", "partitions", "jobs"):
                db.execute(f"DELETE FROM {table}")  # noqa: S608  constant names
            db.execute("INSERT INTO log VALUES (?)", (name,))
            db.executemany("INSERT INTO partitions VALUES (?, ?)", starts.items())

    def _next_offsets(self, name: str) -> dict[int, int]:
        if self._db.execute("SELECT name FROM log").fetchone() != (name,):
            return {}
        return dict(self._db.execute("SELECT partition, next_offset FROM partitions"))

    def _add(
        self, offsets: Mapping[str, Sequence[int]], deleted: Collection[str], next_offsets: Mapping[int, int]
    ) -> None:
        packed = [(job_id, array("q", some).tobytes()) for job_id, some in sorted(offsets.items())]
        with transaction(self._db) as db:
            db.executemany(_ADD, packed)
            db.executemany("DELETE FROM jobs WHERE id = ?", [(job_id,) for job_id in deleted])
            advanced = [(offset, partition) for partition, offset in next_offsets.items()]
            db.executemany("UPDATE partitions SET next_offset = ? WHERE partition = ?", advanced)

    def _of_job(self, partition: int, job_id: str) -> IndexedEvents | None:
        position = self._db.execute("SELECT next_offset FROM partitions WHERE partition = ?", (partition,)).fetchone()
        if position is None:
            return None
        row = self._db.execute("SELECT offsets FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return IndexedEvents(array("q", row[0] if row else b""), position[0])

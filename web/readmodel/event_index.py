"""Where the facts of each job are on `media.events`: their offsets, in a SQLite file that can be made again."""

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

#: Header of a fact that names its job.
JOB_HEADER = "ce_correlationid"
#: By how much the clocks of a producer and of who wrote a time may differ, seconds.
SKEW_S = 60.0

_VERSION = 1
_TABLES = """
-- One row: the log that all of this is about.
CREATE TABLE log (name TEXT NOT NULL);
-- All facts before `next_offset` are known.
CREATE TABLE partitions (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
-- `offsets`: of the job's facts within its partition, 8 bytes each, in order.
CREATE TABLE jobs (id TEXT PRIMARY KEY, offsets BLOB NOT NULL) WITHOUT ROWID;
"""
#: Two blobs in a row are text to SQLite, of the same bytes.
_ADD = """
INSERT INTO jobs VALUES (?, ?)
ON CONFLICT (id) DO UPDATE SET offsets = CAST(offsets || excluded.offsets AS BLOB)
"""


class Known(NamedTuple):
    """What the index has of one job."""

    #: Offsets of its facts, in order.
    offsets: Sequence[int]
    #: Those of its partition from here on are not known yet.
    next_offset: int


class EventIndex:
    """The file, in a thread of its own. A damaged one is made again, empty. Its methods raise sqlite3.Error.

    Where no file can be made, on a full disk for instance, the index is kept in memory: web starts all the same.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="event-index")
        reason = database_file.reason_to_replace(path, _VERSION)
        self._db = database_file.connect(path) if reason is None else self._made_again(reason)

    def close(self) -> None:
        """Let go of the file, after what is running has ended."""
        self._thread.shutdown(cancel_futures=True)
        self._db.close()

    async def begin(self, name: str, starts: Mapping[int, int]) -> None:
        """Forget everything; from now on it is about the log of that name, by partition from these offsets on."""
        await self._run(lambda: self._begin(name, starts))

    async def next_offsets(self, name: str) -> dict[int, int]:
        """By partition, up to where the log of that name is known; empty where another one is, or none."""
        return await self._run(lambda: self._next_offsets(name))

    async def add(
        self, found: Mapping[str, Sequence[int]], gone: Collection[str], next_offsets: Mapping[int, int]
    ) -> None:
        """Offsets by job, jobs that were deleted, and up to where each partition is known with that."""
        await self._run(lambda: self._add(found, gone, next_offsets))

    async def of_job(self, partition: int, job_id: str) -> Known | None:
        """What is known of a job; None where nothing is known of its partition."""
        return await self._run(lambda: self._of_job(partition, job_id))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: self._noticing_damage(work))

    # In the thread

    def _noticing_damage(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.Error as error:
            if database_file.is_damage(error):
                self._db.close()
                self._db = self._made_again(f"it is damaged: {error}")
            raise

    def _made_again(self, reason: str) -> sqlite3.Connection:
        log.info("event index is made again", extra={"reason": reason})
        try:
            database_file.create(self._path, _TABLES, _VERSION)
            return database_file.connect(self._path)
        except (sqlite3.Error, OSError) as error:
            log.warning("event index is kept in memory", extra={"reason": str(error)})
            db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            db.executescript(_TABLES)
            return db

    def _begin(self, name: str, starts: Mapping[int, int]) -> None:
        with transaction(self._db) as db:
            for table in ("log", "partitions", "jobs"):
                db.execute(f"DELETE FROM {table}")  # noqa: S608  names are ours
            db.execute("INSERT INTO log VALUES (?)", (name,))
            db.executemany("INSERT INTO partitions VALUES (?, ?)", starts.items())

    def _next_offsets(self, name: str) -> dict[int, int]:
        if self._db.execute("SELECT name FROM log").fetchone() != (name,):
            return {}
        return dict(self._db.execute("SELECT partition, next_offset FROM partitions"))

    def _add(self, found: Mapping[str, Sequence[int]], gone: Collection[str], next_offsets: Mapping[int, int]) -> None:
        packed = [(job_id, array("q", offsets).tobytes()) for job_id, offsets in sorted(found.items())]
        with transaction(self._db) as db:
            db.executemany(_ADD, packed)
            db.executemany("DELETE FROM jobs WHERE id = ?", [(job_id,) for job_id in gone])
            moved = [(offset, partition) for partition, offset in next_offsets.items()]
            db.executemany("UPDATE partitions SET next_offset = ? WHERE partition = ?", moved)

    def _of_job(self, partition: int, job_id: str) -> Known | None:
        where = self._db.execute("SELECT next_offset FROM partitions WHERE partition = ?", (partition,)).fetchone()
        if where is None:
            return None
        row = self._db.execute("SELECT offsets FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return Known(array("q", row[0] if row else b""), where[0])

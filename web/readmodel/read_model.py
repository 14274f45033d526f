"""The read model: one replica's jobs and assets in a SQLite file, with one writer thread and several reader threads."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from streams.process.locks import Locked, lock
from web.http.fair_semaphore import CALLER, MAX_WAITING, FairSemaphore
from web.readmodel import database_file, schema
from web.readmodel.changelog import Changelog
from web.readmodel.erasure import Erasure
from web.readmodel.job_table import LiveOf, StoredProgress, deleted_ids, encode_live, no_live
from web.readmodel.projector import Batch, BatchResult, Projector, ReadPosition, transaction
from web.readmodel.read_shares import ReadShares

log = logging.getLogger("kinolog.web")

P = ParamSpec("P")
T = TypeVar("T")

_READERS = 4


class ReplicaInUse(Exception):
    """Another process uses this replica's read model; the message names the setting to change."""


class Damaged(sqlite3.DatabaseError):
    """The file is damaged and cannot be read until it has been rebuilt."""


class Saved(NamedTuple):
    """The state of the file: the log that it was built from, and the positions in it."""

    cluster: str
    partitions: int
    #: Last time at which nothing was missing, seconds since the epoch.
    current_at: float
    positions: dict[tuple[Changelog, int], ReadPosition]


class ReadModel:
    """The file and its threads. A file that is missing, damaged or of another version is recreated."""

    def __init__(self, path: Path, history: int, live: LiveOf = no_live) -> None:
        self._path = path
        self._history = history
        self._live = live
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(path.with_suffix(".lock"))
        #: Set when a reader or the writer found damage; the file must be rebuilt.
        self.damaged = threading.Event()
        #: Set when the file may have something of what was deleted; also at start: the last process may have died.
        self.needs_erasure = threading.Event()
        self.needs_erasure.set()
        self._generation = 0
        self._local = threading.local()
        self._open_readers: list[sqlite3.Connection] = []
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="read-model-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="read-model-reader")
        # One caller never has all threads: another's first query waits for none of them, and shares them from then on.
        self._slots = FairSemaphore(_READERS, per_caller=_READERS - 1, queue=MAX_WAITING, shared=True)
        self._shares = ReadShares(self._slots.is_shared)
        self._use(self._open())

    def close(self) -> None:
        """Close the file after the running queries have ended."""
        self._readers.shutdown(cancel_futures=True)
        self._writer.shutdown(cancel_futures=True)
        for connection in (*self._open_readers, self._db):
            connection.close()
        self._lock.close()

    async def read(
        self, query: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`query(connection, …)` in a reader's thread, when it is the caller's turn; it reads one consistent state.

        Raises QueueFull.
        """
        loop, caller = asyncio.get_running_loop(), CALLER.get()
        async with self._slots.slot(caller):
            return await loop.run_in_executor(self._readers, lambda: self._query(caller, query, *args, **kwargs))

    async def apply(self, batch: Batch, *, keep_history: bool) -> BatchResult:
        """Apply one batch of records. A repeat is harmless."""
        return await self._write(lambda: self._apply(batch, keep_history=keep_history))

    async def erase(self) -> bool:
        """Erase what deletions left in a part of the file; True at its end. Raises sqlite3.Error, OSError."""
        return await self._write(self._erase_step)

    async def saved(self) -> Saved | None:
        """The state of the file; None when it is new."""
        return await self._write(self._saved)

    async def rebuild(self, cluster: str, partitions: int) -> None:
        """Recreate the file, empty, for the log of `cluster`."""
        await self._write(lambda: self._rebuild(cluster, partitions))

    async def mark_current(self, now: float) -> None:
        """Note that nothing is missing at `now`, seconds since the epoch."""
        await self._write(lambda: self._db.execute("UPDATE log SET current_at = ?", (now,)))

    async def note_progress(
        self, by_job: Mapping[str, float], progress: Sequence[StoredProgress], positions: Mapping[int, int]
    ) -> None:
        """Store live progress and the offsets of `media.progress` up to which it was read. `by_job`: progress of whole
        jobs (0-1), by which lists are sorted. Ended jobs stay unchanged.
        """
        rows = [(by_job.get(one.job_id), encode_live(one.run, one.live), one.job_id) for one in progress]
        offsets = list(positions.items())
        await self._write(lambda: self._note_progress(rows, offsets))

    async def _write(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, lambda: self._detect_damage(work))

    def _detect_damage(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.Error as error:
            if database_file.is_damage(error):
                self.damaged.set()
            if self.damaged.is_set():
                raise Damaged(str(error)) from error
            raise

    # In the writer's thread

    def _note_progress(self, rows: list[tuple[float | None, bytes, str]], offsets: list[tuple[int, int]]) -> None:
        with transaction(self._db) as db:
            db.executemany(schema.PUT_PROGRESS, rows)
            db.executemany(schema.PUT_PROGRESS_POSITION, offsets)

    def _saved(self) -> Saved | None:
        row = self._db.execute("SELECT cluster, partitions, current_at FROM log").fetchone()
        if row is None:
            return None
        cluster, partitions, current_at = row
        return Saved(cluster, partitions, current_at, dict(self._projector.positions))

    def _rebuild(self, cluster: str, partitions: int) -> None:
        self.damaged.set()  # until the file is complete again: the disk may be full
        self._db.close()
        self._generation += 1
        self._use(self._create())
        self._db.execute("INSERT INTO log VALUES (?, ?, 0, 0)", (cluster, partitions))
        self.damaged.clear()

    def _use(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._projector = Projector(db, self._history, self._live)
        self._erasure = Erasure(db, self._path)

    def _apply(self, batch: Batch, *, keep_history: bool) -> BatchResult:
        result = self._projector.apply(batch, keep_history=keep_history)
        if deleted_ids(result.assets) or any(change.job is None for change in result.jobs):
            self.needs_erasure.set()
        return result

    def _open(self) -> sqlite3.Connection:
        reason = database_file.reason_to_replace(self._path, schema.VERSION)
        if reason is None:
            return _connect(self._path)
        log.info("read model is recreated", extra={"reason": reason})
        return self._create()

    def _create(self) -> sqlite3.Connection:
        database_file.create(self._path, schema.TABLES, schema.VERSION)
        return _connect(self._path)

    def _erase_step(self) -> bool:
        return self._erasure.step()  # of the file as it is now: it may have been created again

    # In a reader's thread

    def _query(self, caller: str, query: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        with self._shares.reading(caller):
            return self._detect_damage(lambda: _consistently(self._reader(), lambda db: query(db, *args, **kwargs)))

    def _reader(self) -> sqlite3.Connection:
        """The connection of the calling thread, a new one after a rebuild."""
        if getattr(self._local, "generation", None) != self._generation:
            generation = self._generation
            self._local.db = database_file.connect_to_read(self._path)
            self._open_readers.append(self._local.db)
            # Walks of a whole index are common, and SQLite's own cache holds a fifth of one: halves their time.
            self._local.db.execute("PRAGMA mmap_size = 1073741824")
            self._local.generation = generation
        db: sqlite3.Connection = self._local.db
        return db


def _consistently(db: sqlite3.Connection, query: Callable[[sqlite3.Connection], T]) -> T:
    db.execute("BEGIN")
    try:
        return query(db)
    finally:
        db.execute("ROLLBACK")


def _connect(path: Path) -> sqlite3.Connection:
    db = database_file.connect(path)
    db.execute("PRAGMA wal_autocheckpoint = 4000")
    db.execute("PRAGMA journal_size_limit = 67108864")
    # The default is 2 MB; overwriting deleted data then takes half of the time of a change, and nothing with this.
    db.execute("PRAGMA cache_size = -32768")
    return db


def _locked(path: Path) -> IO[str]:
    try:
        return lock(path)
    except Locked as error:
        raise ReplicaInUse(
            f"{path} is in use by process {error.pid or 'unknown'}. Choose another KINOLOG_WEB__REPLICA."
        ) from error

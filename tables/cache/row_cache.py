"""RowCache: a RocksDB of rows, their index entries, and how far each changelog partition is in it.

It is a cache of the changelogs and nothing else: what is missing is read from them again, and where it may differ from
them it is removed. RocksDB writes a batch as a whole and checks a checksum with each block that it reads.
"""

import contextlib
import logging
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from rocksdict import WriteBatch

from streams.process.exit import EX_SOFTWARE, end_process
from streams.worker.cached_changelog import CacheNotWritten
from tables.cache.database import opened
from tables.cache.keys import (
    COUNTED,
    JOBS,
    NOTHING,
    POSITION,
    TABLES,
    Entry,
    Head,
    by_asset_key,
    crowded_key,
    entries_of_job,
    entries_of_tombstone,
    head_of,
    is_crowded,
    is_mark,
    position_key,
    scope,
)

log = logging.getLogger(__name__)

#: Files older than this are rewritten without what was deleted since; each of some three levels takes as long.
REWRITE_S = 6 * 3600
#: Exists where the files could not be read: they are removed at the next start.
_DAMAGED = "damaged"

#: Key and row, None for a tombstone, and partition.
Change = tuple[bytes, bytes | None, int]


class Position(msgspec.Struct, kw_only=True):
    """How far a changelog partition is in the cache, and what its rows say together."""

    #: Offset of the last record, and its timestamp by the broker, milliseconds: another log has another one there.
    offset: int
    timestamp_ms: int
    #: Id of the changelog's topic, empty where the brokers have none.
    topic_id: str = ""
    #: Highest applied offset by source topic.
    applied: dict[str, int] = msgspec.field(default_factory=dict)
    #: The newest date of a row, seconds since the epoch.
    last_change_s: float = 0.0


class RowCache:
    """An open cache. `get` ends the process when the files are damaged; the next one rebuilds them from the log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._db = opened(folder, REWRITE_S)
        self.positions: dict[tuple[str, int], Position] = {}
        self._load()

    def _load(self) -> None:
        for key, value in self.scan(POSITION):
            self.positions[key[3:].decode(), int.from_bytes(key[1:3], "big")] = msgspec.json.decode(
                value, type=Position
            )

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:  # noqa: BLE001 - RocksDB's errors have no common class
            self._exit_damaged(error)
        return value

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Entries whose keys begin with `prefix`, in the order of their keys, from `start` on."""
        for key, value in self._iterate(prefix, start):
            yield key, value()

    def keys(self, prefix: bytes, start: bytes = b"") -> Iterator[bytes]:
        """Keys that begin with `prefix`, as of `scan`."""
        for key, _ in self._iterate(prefix, start):
            yield key

    def _iterate(self, prefix: bytes, start: bytes) -> Iterator[tuple[bytes, Any]]:
        found = self._db.iter()
        found.seek(max(prefix, start))
        while found.valid():
            key = found.key()
            if not key.startswith(prefix):
                return
            yield key, found.value
            found.next()
        try:
            found.status()
        except Exception as error:  # noqa: BLE001 - as above
            self._exit_damaged(error)

    def write(self, table: str, changes: Iterable[Change], *, has_jobs: bool = False) -> None:
        """Write rows of a table with their index entries, as a whole. Raises CacheNotWritten.

        `has_jobs`: with assets, that the jobs' rows up to the same moment are written.
        """
        batch, heads, marks = WriteBatch(raw_mode=True), list[tuple[int, Head]](), dict[bytes, Head | None]()
        prefix, is_indexed = TABLES[table], table == "jobs"
        for key, row, partition in changes:
            head = head_of(row) if row is not None else None
            if head is not None:
                heads.append((partition, head))
            if is_indexed and row is None:
                _put(batch, entries_of_tombstone(partition, key, self._mark_before(key, marks)))
            elif is_indexed:
                _put(batch, entries_of_job(partition, key, head))
            elif is_crowded(head) or (row is None and not (has_jobs and self._is_empty(partition, key))):
                batch.put(crowded_key(partition, key), NOTHING)
            if is_indexed and is_mark(key):
                marks[key] = head
            _put(batch, [(prefix + key, row)])
        self._commit(batch)
        for partition, head in heads:
            self._sum(table, partition, head)

    def _is_empty(self, partition: int, asset_id: bytes) -> bool:
        return next(self.keys(by_asset_key(partition, asset_id, b"")), None) is None

    def is_counted(self, partition: int) -> bool:
        """Whether all assets of a partition whose row may not list all of their jobs are indexed."""
        return self.get(scope(COUNTED, partition)) is not None

    def set_counted(self, partition: int, crowded: Iterable[bytes], others: Iterable[bytes]) -> None:
        """They are: `crowded`, without `others`. Raises CacheNotWritten."""
        batch = WriteBatch(raw_mode=True)
        _put(batch, [(scope(COUNTED, partition), NOTHING)])
        _put(batch, ((crowded_key(partition, asset_id), NOTHING) for asset_id in crowded))
        _put(batch, ((crowded_key(partition, asset_id), None) for asset_id in others))
        self._commit(batch)

    def _mark_before(self, key: bytes, marks: dict[bytes, Head | None]) -> Head | None:
        """The mark that a tombstone deletes; `marks`: those of the same batch."""
        if not is_mark(key) or key in marks:
            return marks.get(key)
        row = self.get(JOBS + key)
        return head_of(row) if row is not None else None

    def _sum(self, table: str, partition: int, head: Head) -> None:
        """Include what a written row says; it is on the disk with the next `advance`."""
        known = self.positions.get((table, partition))
        if known is None:
            known = self.positions[table, partition] = Position(offset=-1, timestamp_ms=0)
        known.last_change_s = max(known.last_change_s, head.dated)
        for topic in head.lost:  # larger offsets in earlier rows are void
            known.applied.pop(topic, None)
        for topic, offset in head.at.items():
            known.applied[topic] = max(offset, known.applied.get(topic, -1))

    def advance(self, table: str, ends: dict[int, tuple[int, int]], topic_id: str = "") -> None:
        """Note that all rows up to these offsets are written. `ends`: offset and timestamp (ms) by partition of
        the topic with this id.

        Raises CacheNotWritten.
        """
        batch = WriteBatch(raw_mode=True)
        for partition, (offset, timestamp_ms) in ends.items():
            known = self.positions.get((table, partition)) or Position(offset=-1, timestamp_ms=0)
            position = msgspec.structs.replace(known, offset=offset, timestamp_ms=timestamp_ms, topic_id=topic_id)
            self.positions[table, partition] = position
            batch.put(position_key(table, partition), msgspec.json.encode(position))
        self._commit(batch)

    def clear(self) -> None:
        """Remove everything."""
        self._db.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self.positions.clear()
        self._db = opened(self._folder, REWRITE_S)

    def spill(self) -> None:
        """Begin to write RocksDB's memory to a file: what was deleted leaves its write-ahead log."""
        with contextlib.suppress(Exception):  # RocksDB's errors have no common class; the next write raises it
            self._db.flush(wait=False)

    def close(self) -> None:
        """Close the files."""
        self._db.close()

    def _commit(self, batch: Any) -> None:
        try:
            self._db.write(batch)
        except Exception as error:
            raise CacheNotWritten(f"the row cache was not written: {error}") from error

    def _exit_damaged(self, error: Exception) -> NoReturn:
        with contextlib.suppress(OSError):
            (self._folder / _DAMAGED).touch()
        end_process(EX_SOFTWARE, "the row cache is damaged and will be rebuilt", error=repr(error))


def _put(batch: Any, entries: Iterable[Entry]) -> None:
    for key, value in entries:
        if value is None:
            batch.delete(key)
        else:
            batch.put(key, value)


def open_cache(folder: Path) -> RowCache | None:
    """The cache in `folder`; an unreadable one is removed. None, with a log line, where there can be none."""
    if (folder / _DAMAGED).exists():
        shutil.rmtree(folder, ignore_errors=True)
    for is_last in (False, True):
        try:
            return RowCache(folder)
        except Exception as error:  # noqa: BLE001 - RocksDB's errors have no common class
            log.warning(
                "row cache not usable", extra={"folder": str(folder), "removed": not is_last, "error": repr(error)}
            )
            shutil.rmtree(folder, ignore_errors=True)
    return None

"""Counts of jobs, steps and assets at any past moment: tables of the event index, in the transactions of their owner.

The counts of a partition are stored as chunks: the totals at the chunk's start, and each change since with its time.
A moment is answered from one chunk per partition. The fold needs the state of each job and asset, which is stored too.
"""

import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from web.readmodel.queries import CountRow, Counts
from web.timelines.counted_jobs import CountedAsset, CountedJob, CountKey, Folding
from web.timelines.facts import facts_of

TABLES = """
-- States as of the last indexed events, as far as counts need them; see counted_jobs.py.
CREATE TABLE counted_jobs (id TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE counted_assets (id TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE count_keys (
  n INTEGER PRIMARY KEY, owner TEXT NOT NULL, pipeline TEXT NOT NULL, step TEXT NOT NULL, status TEXT NOT NULL
);
-- `totals` when the chunk starts, compressed; `changes` from `from_ms` on, compressed once the chunk is closed.
CREATE TABLE count_chunks (
  partition INTEGER NOT NULL, n INTEGER NOT NULL, from_ms INTEGER NOT NULL,
  totals BLOB NOT NULL, changes BLOB NOT NULL, is_closed INTEGER NOT NULL,
  PRIMARY KEY (partition, n)
);
CREATE INDEX count_chunks_time ON count_chunks (partition, from_ms, n);
-- One row: the first moment that can be answered, ms since the epoch.
CREATE TABLE count_history (from_ms INTEGER NOT NULL);
INSERT INTO count_history VALUES (0);
"""
_EVERY_TABLE = ("counted_jobs", "counted_assets", "count_keys", "count_chunks")

_CHANGE = np.dtype([("at_ms", "<i8"), ("key", "<u4"), ("by", "<i4")])
_TOTAL = np.dtype([("key", "<u4"), ("count", "<i8")])
#: Size at which a chunk is closed, bytes, or twice its totals: so changes take most of the space.
_CHUNK_BYTES = 64 * 1024
_TOTALS_SHARE = 2
#: Share of the space that is left when it was full: not every chunk should remove another one.
_KEPT_SHARE = 0.9

_FIND_CHUNK = """
SELECT totals, changes, is_closed FROM count_chunks WHERE partition = ? AND from_ms <= ?
ORDER BY from_ms DESC, n DESC LIMIT 1
"""
_ADD_CHANGES = "UPDATE count_chunks SET changes = CAST(changes || ? AS BLOB) WHERE partition = ? AND n = ?"

_decode_job = msgspec.msgpack.Decoder(CountedJob).decode
_decode_asset = msgspec.msgpack.Decoder(CountedAsset).decode
_encode = msgspec.msgpack.Encoder().encode


class TooOld(Exception):
    """The moment lies before the kept history."""

    def __init__(self, from_ms: int) -> None:
        super().__init__()
        #: First moment that can be answered, ms since the epoch.
        self.from_ms = from_ms


@dataclass
class _OpenChunk:
    """The last chunk of a partition, to which changes are added."""

    n: int
    #: Size of its changes, bytes.
    size: int
    limit: int
    #: Count by key as of the last change.
    totals: Counter[int] = field(default_factory=Counter)


class PastCounts:
    """The tables in one database. The caller's thread and transaction are used; after a rollback, call `reload`."""

    def __init__(self, db: sqlite3.Connection, max_bytes: int) -> None:
        self._db, self._max_bytes = db, max_bytes
        self._keys: dict[CountKey, int] = {}
        self._chunks: dict[int, _OpenChunk] = {}
        self.reload()

    def reload(self) -> None:
        """Read what is kept in memory from the tables."""
        self._keys = {CountKey(*key): n for n, *key in self._db.execute("SELECT * FROM count_keys")}
        self._chunks = {}

    def clear(self) -> None:
        """Delete everything."""
        for table in _EVERY_TABLE:
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608  constant names
        self._db.execute("UPDATE count_history SET from_ms = 0")
        self.reload()

    def start_at(self, from_ms: int) -> None:
        """Note that events before that moment are not on the log."""
        self._db.execute("UPDATE count_history SET from_ms = max(from_ms, ?)", (from_ms,))

    def add(self, partition: int, records: Sequence[tuple[int, Any]]) -> None:
        """Fold records of one partition, in order, each with its time, ms since the epoch, never decreasing."""
        folding, changes = Folding(self), Counter[tuple[int, int]]()
        for at_ms, record in records:
            for fact in facts_of(record):
                for key, by in folding.take(fact).items():
                    changes[at_ms, self._key(key)] += by
        self._write("counted_jobs", folding.jobs)
        self._write("counted_assets", folding.assets.items())
        rows = [(at_ms, key, by) for (at_ms, key), by in sorted(changes.items()) if by]
        if rows:
            self._append(partition, np.array(rows, _CHANGE))

    def at(self, partitions: Iterable[int], moment_ms: int, owner: str | None) -> Counts:
        """The counts at a moment, of one owner or of all (None). Raises TooOld."""
        (from_ms,) = self._db.execute("SELECT from_ms FROM count_history").fetchone()
        if moment_ms < from_ms:
            raise TooOld(from_ms)
        totals = np.zeros(len(self._keys) + 1, np.int64)
        for partition in partitions:
            chunk = self._db.execute(_FIND_CHUNK, (partition, moment_ms)).fetchone()
            if chunk is not None:
                _add_up(totals, chunk, moment_ms)
        return _counts(((key, int(totals[n])) for key, n in self._keys.items()), owner)

    # The state before an event; see counted_jobs.Before

    def job(self, job_id: str) -> CountedJob | None:
        """The stored state of a job."""
        row = self._db.execute("SELECT state FROM counted_jobs WHERE id = ?", (job_id,)).fetchone()
        return _decode_job(row[0]) if row else None

    def asset(self, asset_id: str) -> CountedAsset | None:
        """The stored state of an asset."""
        row = self._db.execute("SELECT state FROM counted_assets WHERE id = ?", (asset_id,)).fetchone()
        return _decode_asset(row[0]) if row else None

    def _key(self, key: CountKey) -> int:
        if key not in self._keys:
            n = self._keys[key] = len(self._keys) + 1
            self._db.execute("INSERT INTO count_keys VALUES (?, ?, ?, ?, ?)", (n, *key))
        return self._keys[key]

    def _write(self, table: str, states: Iterable[tuple[str, CountedJob | CountedAsset | None]]) -> None:
        known = [*states]
        put = [(an_id, _encode(state)) for an_id, state in known if state is not None]
        deleted = [(an_id,) for an_id, state in known if state is None]
        self._db.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", put)  # noqa: S608  a constant name
        self._db.executemany(f"DELETE FROM {table} WHERE id = ?", deleted)  # noqa: S608  likewise

    def _append(self, partition: int, changes: npt.NDArray[Any]) -> None:
        chunk = self._chunks.get(partition) or self._last_chunk(partition)
        added = changes.tobytes()
        if chunk is None or chunk.size + len(added) > chunk.limit:
            chunk = self._next_chunk(partition, chunk, int(changes["at_ms"][0]))
        self._db.execute(_ADD_CHANGES, (added, partition, chunk.n))
        chunk.size += len(added)
        _apply(chunk.totals, changes)
        self._chunks[partition] = chunk

    def _last_chunk(self, partition: int) -> _OpenChunk | None:
        query = "SELECT n, totals, changes FROM count_chunks WHERE partition = ? ORDER BY n DESC LIMIT 1"
        row = self._db.execute(query, (partition,)).fetchone()
        if row is None:
            return None
        n, totals, changes = row
        chunk = _OpenChunk(n, len(changes), _limit(totals))
        stored = _unpacked(totals, _TOTAL)
        chunk.totals.update(dict(zip(stored["key"].tolist(), stored["count"].tolist(), strict=True)))
        _apply(chunk.totals, np.frombuffer(changes, _CHANGE))
        return chunk

    def _next_chunk(self, partition: int, before: _OpenChunk | None, from_ms: int) -> _OpenChunk:
        """Close the chunk before, and start another one."""
        counts = Counter[int]() if before is None else before.totals
        rows = [(key, count) for key, count in sorted(counts.items()) if count]
        totals = zlib.compress(np.array(rows, _TOTAL).tobytes())
        if before is not None:
            self._close(partition, before.n)
        n = 0 if before is None else before.n + 1
        self._db.execute("INSERT INTO count_chunks VALUES (?, ?, ?, ?, x'', 0)", (partition, n, from_ms, totals))
        self._keep_within_bound()
        return _OpenChunk(n, 0, _limit(totals), Counter(dict(rows)))

    def _close(self, partition: int, n: int) -> None:
        place = (partition, n)
        (changes,) = self._db.execute(
            "SELECT changes FROM count_chunks WHERE partition = ? AND n = ?", place
        ).fetchone()
        update = "UPDATE count_chunks SET changes = ?, is_closed = 1 WHERE partition = ? AND n = ?"
        self._db.execute(update, (zlib.compress(changes), *place))

    def _keep_within_bound(self) -> None:
        """Remove the oldest chunks when there are too many."""
        (size,) = self._db.execute("SELECT sum(length(totals) + length(changes)) FROM count_chunks").fetchone()
        if size <= self._max_bytes:
            return
        oldest = "SELECT partition, n, length(totals) + length(changes) FROM count_chunks WHERE is_closed"
        for partition, n, length in self._db.execute(f"{oldest} ORDER BY from_ms, n").fetchall():
            if size <= self._max_bytes * _KEPT_SHARE:
                return
            self._db.execute("DELETE FROM count_chunks WHERE partition = ? AND n = ?", (partition, n))
            following = "SELECT min(from_ms) FROM count_chunks WHERE partition = ?"
            self.start_at(self._db.execute(following, (partition,)).fetchone()[0] or 0)
            size -= length


def _limit(totals: bytes) -> int:
    return max(_CHUNK_BYTES, _TOTALS_SHARE * len(totals))


def _unpacked(packed: bytes, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    return np.frombuffer(zlib.decompress(packed), dtype)


def _apply(totals: Counter[int], changes: npt.NDArray[Any]) -> None:
    for key, by in zip(changes["key"].tolist(), changes["by"].tolist(), strict=True):
        totals[key] += by


def _add_up(sums: npt.NDArray[np.int64], chunk: tuple[bytes, bytes, int], moment_ms: int) -> None:
    """Add a chunk's counts at a moment to `sums`, which are by key."""
    totals, changes, is_closed = chunk
    stored = _unpacked(totals, _TOTAL)
    np.add.at(sums, stored["key"], stored["count"])
    made = _unpacked(changes, _CHANGE) if is_closed else np.frombuffer(changes, _CHANGE)
    made = made[: np.searchsorted(made["at_ms"], moment_ms, side="right")]
    np.add.at(sums, made["key"], made["by"])


def _counts(totals: Iterator[tuple[CountKey, int]], owner: str | None) -> Counts:
    jobs, assets = Counter[tuple[str, str, str]](), Counter[str]()
    for key, count in totals:
        if not count or (owner is not None and key.owner != owner):
            continue
        if key.pipeline:
            jobs[key.pipeline, key.step, key.status] += count
        else:
            assets[key.status] += count
    return Counts([CountRow(*names, count) for names, count in jobs.items()], dict(assets))

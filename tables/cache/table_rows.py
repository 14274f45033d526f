"""TableRows: the rows of one table. Those written lately are in memory, the others in the row cache.

A row goes to the cache some seconds after the log has it: no power cut leaves a row there that the log has lost.
The cache knows up to which offset it has every row; it may have later ones too, and reading the log from that offset on
gives the same rows.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from tables.cache.keys import BY_ASSET, OPEN, TABLES, by_asset_key, ids_by_asset, scope
from tables.cache.row_cache import Change, Position, RowCache

#: In memory, a row that is deleted and may still be in the cache. Compared by identity: no record is this object.
_DELETED = bytes(bytearray(b"deleted"))
#: Rows that are written to the cache at once, some 5 ms.
_SLICE = 1_000


class TableRows:
    """Rows by key. Without a cache all of them are in memory."""

    def __init__(
        self, name: str, recent: dict[bytes, bytes], partitions: dict[bytes, int], cache: RowCache | None
    ) -> None:
        self._name, self.cache = name, cache
        self._prefix = TABLES.get(name, b"")
        #: Written since the last flush, and their partitions.
        self.recent, self._partitions = recent, partitions
        #: Being written to the cache.
        self._flushing: dict[bytes, bytes] = {}
        self._flushing_partitions: dict[bytes, int] = {}
        #: Next offset and last timestamp (ms) of the changelog partitions that nobody else has written since they were
        #: recovered; the offset to be claimed by the flush.
        self._delivered: dict[int, tuple[int, int]] = {}
        self._ends: dict[int, tuple[int, int]] = {}
        #: The recovery after which the rows of the flush were written.
        self._frozen_after = 0
        #: Id of the changelog's topic, as of the last recovery.
        self.topic_id = ""
        #: Number of recoveries so far; a flush ends with the next one.
        self.recoveries = 0

    @property
    def is_cached(self) -> bool:
        """Whether there is a cache."""
        return self.cache is not None

    def get(self, key: bytes) -> bytes | None:
        """The row, or None."""
        row = self.recent.get(key)
        if row is None and self.cache is not None:
            row = self._flushing.get(key)
            if row is None:
                return self.cache.get(self._prefix + key)
        return None if row is _DELETED else row

    def put(self, key: bytes, row: bytes, partition: int) -> None:
        """Set a row."""
        self.recent[key], self._partitions[key] = row, partition

    def delete(self, key: bytes, partition: int) -> None:
        """Delete a row. An unknown key is harmless."""
        if self.cache is not None:
            self.recent[key], self._partitions[key] = _DELETED, partition
        else:
            self.recent.pop(key, None)
            self._partitions.pop(key, None)

    def in_memory(self) -> Iterator[tuple[bytes, bytes]]:
        """The rows in memory, as they are at the call."""
        return iter([(key, row) for key, row in (self._flushing | self.recent).items() if row is not _DELETED])

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All rows; after a rebalance, also some of revoked partitions."""
        yield from self.in_memory()
        for key, row in self.cache.scan(self._prefix) if self.cache is not None else ():
            if not self._is_in_memory(key[1:]):
                yield key[1:], row

    def items_to_act_on(self, owned: Iterable[int]) -> Iterator[tuple[bytes, bytes]]:
        """The rows that an owner acts on without being asked for them: open and refused jobs, those that cannot be
        read, queues; and all rows in memory.
        """
        yield from self.in_memory()
        for partition in sorted(owned):
            yield from self.cached_to_act_on(partition)

    def cached_to_act_on(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Those of one partition that are in the cache alone."""
        for key in self.cache.keys(scope(OPEN, partition)) if self.cache is not None else ():
            yield from self._cached(key[3:])

    def jobs_by_asset(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Asset and job ids of the accepted jobs in the cache, by asset; the row of some may be gone."""
        return map(ids_by_asset, self.cache.keys(scope(BY_ASSET, partition))) if self.cache is not None else iter(())

    def jobs_of(self, asset_id: bytes, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Rows in the cache of an asset's accepted jobs."""
        for key in self.cache.keys(by_asset_key(partition, asset_id, b"")) if self.cache is not None else ():
            yield from self._cached(ids_by_asset(key)[1])

    def _cached(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        if not self._is_in_memory(key) and self.cache is not None:
            row = self.cache.get(self._prefix + key)
            if row is not None:
                yield key, row

    def _is_in_memory(self, key: bytes) -> bool:
        return key in self.recent or key in self._flushing

    # Recovery

    def position(self, partition: int) -> Position | None:
        """How far a changelog partition is in the cache; None: not at all."""
        known = self.cache.positions.get((self._name, partition)) if self.cache is not None else None
        return known if known is not None and known.offset >= 0 else None

    def begin_recovery(self) -> None:
        """Forget what is in memory: with a cache, all of it is on the log behind the cache's positions."""
        self.recoveries += 1
        if self.cache is not None:
            for known in (self.recent, self._partitions, self._flushing, self._flushing_partitions):
                known.clear()
            self._delivered.clear()

    def discard(self) -> None:
        """Remove the cache's files: they are not of this log."""
        if self.cache is not None:
            self.cache.clear()

    def abandon(self) -> None:
        """Keep all rows in memory from now on: the disk does not take them."""
        self.cache = None

    def apply(self, changes: Iterable[Change]) -> None:
        """Apply changelog records. Raises CacheNotWritten."""
        if self.cache is None:
            for key, row, partition in changes:
                if row is None:
                    self.delete(key, partition)
                else:
                    self.put(key, row, partition)
            return
        self.cache.write(self._name, changes)

    def advance(self, partition: int, offset: int, timestamp_ms: int) -> None:
        """Note that all records of a changelog partition up to this one are applied. Raises CacheNotWritten."""
        if self.cache is not None:
            self.cache.advance(self._name, {partition: (offset, timestamp_ms)}, self.topic_id)

    def follow(self, partition: int, next_offset: int) -> None:
        """A recovery has ended before this offset: what this process writes from there on continues it."""
        position = self.position(partition)
        self._delivered[partition] = next_offset, position.timestamp_ms if position is not None else 0

    # Flushes

    def note_delivery(self, partition: int, base_offset: int, count: int, timestamp_ms: int) -> None:
        """The log has `count` records of this process at `base_offset`. A gap before them is another writer's."""
        known = self._delivered.get(partition)
        if known is not None and known[0] == base_offset:
            self._delivered[partition] = base_offset + count, timestamp_ms
        elif known is not None:
            del self._delivered[partition]

    def freeze(self) -> None:
        """Take the rows written so far for a flush. One that failed is taken again."""
        if self.cache is None:
            return
        self._frozen_after = self.recoveries
        self._ends = {partition: (end - 1, at) for partition, (end, at) in self._delivered.items()}
        self._flushing |= self.recent
        self._flushing_partitions |= self._partitions
        self.recent.clear()
        self._partitions.clear()

    def slices(self) -> Iterator[None]:
        """Write the frozen rows, a slice at a time; those of jobs before those of assets.

        Raises CacheNotWritten. Ends early when a recovery has begun.
        """
        frozen, partitions, cache = self._flushing, self._flushing_partitions, self.cache
        if cache is None or self.recoveries != self._frozen_after:
            return
        waiting = iter(list(frozen))
        while keys := list(islice(waiting, _SLICE)):
            changes = [(key, None if frozen[key] is _DELETED else frozen[key], partitions[key]) for key in keys]
            cache.write(self._name, changes, has_jobs=True)
            yield
            if self.recoveries != self._frozen_after:
                return
        cache.advance(self._name, {p: end for p, end in self._ends.items() if p in self._delivered}, self.topic_id)
        frozen.clear()
        partitions.clear()

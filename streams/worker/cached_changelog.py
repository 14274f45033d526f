"""A cache of the beginning of a changelog (tables/cache), and whether the log goes on from it.

It counts only where the log has not become another one: the topic has the same id, its end is not before the cache's,
and the record at that place has the timestamp that it had. Where compaction may have removed tombstones that the cache
has not seen, it does not count either.
"""

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from faust.types import TP

#: Kafka keeps tombstones for at least a day after compaction (delete.retention.ms); half of it, as the place of the
#: cache's last record is not that of its oldest tombstone.
_TOMBSTONES_S = 43_200.0


class Cached(Protocol):
    """The rows of a table with a cache (tables/cache)."""

    @property
    def is_cached(self) -> bool:
        """Whether the cache is in use; else all rows are in memory."""

    def position(self, partition: int) -> Any:
        """Its `topic_id`, `offset` and `timestamp_ms`: the last applied record of a changelog partition. None: there is
        none.
        """

    def begin_recovery(self) -> None:
        """Rows in memory are read from the log again."""

    def apply(self, changes: Iterable[tuple[bytes, bytes | None, int]]) -> None:
        """Apply records: key, value, partition."""

    def advance(self, partition: int, offset: int, timestamp_ms: int) -> None:
        """All records up to this one are applied."""

    #: Id of the changelog's topic, empty where the brokers have none.
    topic_id: str

    def follow(self, partition: int, next_offset: int) -> None:
        """All records before this one are applied."""

    def discard(self) -> None:
        """Remove the cache, that of other tables too."""

    def abandon(self) -> None:
        """Keep all rows in memory from now on."""


class CacheNotWritten(Exception):
    """The disk does not take what is to be cached."""


class AnotherLog(Exception):
    """The cache is not one of this log."""


LogTime = Callable[[], Awaitable[float]]


class Check:
    """Whether a changelog partition goes on from where its cache ends."""

    def __init__(self, tp: TP, position: Any) -> None:
        self._tp = tp
        #: None: there is no cache.
        self.offset = position.offset if position is not None else None
        self._timestamp_ms = position.timestamp_ms if position is not None else 0
        self._topic_id = position.topic_id if position is not None else ""
        self._next = self.offset
        self._has_gap = False

    def require_topic(self, topic_id: str) -> None:
        """Compare with the topic's id. Raises AnotherLog."""
        if self._topic_id and topic_id and self._topic_id != topic_id:
            raise AnotherLog(f"{self._tp.topic} was created again")

    def require_end(self, end: int) -> None:
        """Compare with the offset of the log's last record. Raises AnotherLog."""
        if self.offset is not None and end < self.offset:
            raise AnotherLog(f"{self._tp} ends at {end}, the cache at {self.offset}")

    async def require_same(self, records: Iterable[Any], log_time: LogTime | None) -> None:
        """Check records that were read, before they are applied. Raises AnotherLog."""
        had_gap = self._has_gap
        for record in records if self._next is not None else ():
            if record.offset == self.offset and self._timestamp_ms not in (0, record.timestamp):
                raise AnotherLog(f"the record of {self._tp} at {record.offset} is another one")
            self._has_gap |= record.offset > self._next
            self._next = record.offset + 1
        if self._has_gap and not had_gap:
            now_s = await log_time() if log_time is not None else math.inf
            if now_s - self._timestamp_ms / 1000 > _TOMBSTONES_S:
                raise AnotherLog(f"compaction may have removed tombstones of {self._tp} that the cache lacks")

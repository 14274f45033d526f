"""Marks of deleted jobs by time: in memory without a row cache, else in the cache's index."""

from collections import deque
from collections.abc import Iterable, Iterator, Set
from itertools import islice
from typing import NamedTuple

from tables.cache.keys import DELETED, deleted_key, deleted_of, head_of, mark_key, scope
from tables.cache.row_cache import RowCache

#: Marks are in the order in which their records were applied; those of different partitions may differ so much from the
#: order of time, seconds.
_DISORDER_S = 60.0


class DeletedAt(NamedTuple):
    """When a job was deleted; sorts by that time."""

    at: float
    job_id: str
    partition: int


class MarksInMemory:
    """All marks, the oldest first."""

    def __init__(self, marks: Iterable[DeletedAt] = ()) -> None:
        self._marks = deque(sorted(marks))

    def add(self, mark: DeletedAt) -> None:
        """A job was deleted."""
        self._marks.append(mark)

    def take_due(self, before: float, most: int) -> Iterator[DeletedAt]:
        """Remove the marks from before then, at most so many."""
        for _ in range(most):
            if not self._marks or self._marks[0].at > before:
                return
            yield self._marks.popleft()

    def at(self, moment: float, partition: int) -> Iterator[str]:
        """Ids of the jobs of a partition that were deleted at a moment."""
        for mark in reversed(self._marks):
            if mark.at < moment - _DISORDER_S:
                return
            if (mark.at, mark.partition) == (moment, partition):
                yield mark.job_id


class MarksInCache:
    """The marks of the owned partitions. A mark gets into the cache's index with its row: some seconds after the
    deletion, or at once when it is read in a recovery.
    """

    def __init__(self, cache: RowCache, owned: Set[int]) -> None:
        self._cache = cache
        #: Where each partition's next mark is.
        self._next = {partition: scope(DELETED, partition) for partition in sorted(owned)}

    def add(self, mark: DeletedAt) -> None:
        """Nothing: the row says it."""

    def take_due(self, before: float, most: int) -> Iterator[DeletedAt]:
        """Marks from before then that were not taken yet, at most so many: their rows are to be deleted."""
        for partition in self._next:
            for mark in islice(self._due(partition, before), most):
                most -= 1
                yield mark

    def _due(self, partition: int, before: float) -> Iterator[DeletedAt]:
        for key in self._cache.keys(scope(DELETED, partition), self._next[partition]):
            at, job_id = deleted_of(key)
            if at > before:
                return
            self._next[partition] = key + b"\0"
            if self._is_of_row(at, job_id):
                yield DeletedAt(at, job_id.decode(errors="replace"), partition)

    def _is_of_row(self, at: float, job_id: bytes) -> bool:
        """Whether the mark's row has this date: the job may have been deleted again."""
        row = self._cache.get(mark_key(job_id))
        head = head_of(row) if row is not None else None
        return head is not None and head.deleted_at == at

    def at(self, moment: float, partition: int) -> Iterator[str]:
        """See MarksInMemory. For records that are replayed: a recovery has read their marks."""
        for key in self._cache.keys(deleted_key(partition, moment)):
            yield deleted_of(key)[1].decode(errors="replace")


Marks = MarksInMemory | MarksInCache

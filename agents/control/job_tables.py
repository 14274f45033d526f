"""The tables `jobs` and `assets` of the owned partitions, and the indexes that are derived from their rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from agents.control.rejections import Rejected
from schemas.jobs import Asset, Queue
from streams.kafka.envelope import UNDECODABLE
from tables.cache.deleted_marks import Marks, MarksInMemory
from tables.changelog_table import ChangelogTable
from tables.reducer import State
from tables.refused_jobs import RefusedIndex
from tables.rows import QUEUE_PREFIX, decode_asset, decode_deleted, decode_job, decode_queue, deleted_key
from tables.unlisted import UnlistedIndex

R = TypeVar("R")


@dataclass
class JobTables:
    """Rows by id. Every read raises Rejected for a row that cannot be decoded: another writer has overwritten it, and
    messages about it become dead letters.
    """

    jobs: ChangelogTable
    assets: ChangelogTable
    #: Partitions of every source topic.
    partitions: int
    unlisted: UnlistedIndex = field(default_factory=UnlistedIndex)
    refused: RefusedIndex = field(default_factory=RefusedIndex)
    #: Deleted jobs that are still remembered.
    deleted: Marks = field(default_factory=MarksInMemory)
    #: Queues that were ever changed, by step.
    queues: dict[str, Queue] = field(default_factory=dict)

    def job(self, job_id: str) -> State:
        """The job, or what remains of a deleted one."""
        if (row := self.jobs.get(job_id)) is not None:
            return _decoded(decode_job, row)
        deleted = self.jobs.get(deleted_key(job_id))
        return _decoded(decode_deleted, deleted) if deleted is not None else None

    def asset(self, asset_id: str) -> Asset | None:
        """The asset."""
        row = self.assets.get(asset_id)
        return _decoded(decode_asset, row) if row is not None else None

    def queue(self, step: str) -> Queue | None:
        """The queue of a step; None before its first command."""
        row = self.jobs.get(QUEUE_PREFIX + step)
        return _decoded(decode_queue, row) if row is not None else None


def _decoded(decode: Callable[[bytes], R], row: bytes) -> R:
    try:
        return decode(row)
    except UNDECODABLE as error:
        raise Rejected("unreadable-row", f"its row cannot be read: {error}") from error

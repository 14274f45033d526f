"""RecordChanges: what one record of a source topic changes in the tables, written at once."""

from collections.abc import Iterable, Mapping
from typing import Any

from agents.control.job_tables import JobTables
from agents.control.rejections import Rejected
from schemas.jobs import Asset, DeletedJob, Job, Queue
from schemas.step_events import AttemptHeartbeat
from streams.kafka.partitioner import partition_of
from tables.assets import LISTED_JOBS, asset_effects, fold_asset, new_asset_effects, summary_of
from tables.bounds import MAX_SUBMITTED_BYTES
from tables.cache.deleted_marks import DeletedAt
from tables.changelog_table import ChangelogTable
from tables.effects import Effects
from tables.reducer import State
from tables.rows import (
    MAX_AT_BYTES,
    MAX_ROW_BYTES,
    QUEUE_PREFIX,
    RowTooLarge,
    deleted_key,
    encode_checked,
    encode_with_offsets,
)
from tables.unlisted import UnlistedJobs

#: A row and its JSON without `at`.
_Row = tuple[Any, bytes]


class RecordChanges:
    """Rows, effects and index entries that one record changes. Reads see earlier changes of the same record; the tables
    and their indexes see none of them before `write`. A method that raises Rejected has changed nothing.
    """

    __slots__ = (
        "_assets",
        "_jobs",
        "_queues",
        "_tables",
        "_unlisted",
        "changed",
        "effects",
        "heartbeats",
        "now",
        "partition",
        "replayed",
    )

    def __init__(self, tables: JobTables, partition: int, now: float, *, replayed: bool) -> None:
        self._tables, self.partition = tables, partition
        #: The record's timestamp, seconds since the epoch.
        self.now = now
        #: Whether the tables have applied this record before.
        self.replayed = replayed
        self.effects: Effects = []
        #: Jobs in their last state, whose deadlines may have changed.
        self.changed: dict[str, Job] = {}
        #: Heartbeats that renew a lease, in order.
        self.heartbeats: list[AttemptHeartbeat] = []
        self._jobs: dict[str, tuple[Job | DeletedJob, bytes]] = {}
        #: None: the asset is deleted.
        self._assets: dict[str, tuple[Asset, bytes] | None] = {}
        self._queues: dict[str, tuple[Queue, bytes]] = {}
        #: Copies of index entries. One of 10,000 jobs takes about 0.1 ms.
        self._unlisted: dict[str, UnlistedJobs] = {}

    def require_partition(self, key: str, name: str) -> None:
        """Check that messages with `key` belong to this record's partition. Raises Rejected."""
        if partition_of(key, self._tables.partitions) != self.partition:
            raise Rejected("wrong-partition", f"{name} does not belong to partition {self.partition}")

    def job(self, job_id: str) -> State:
        """The job, or what remains of a deleted one. Raises Rejected."""
        return self._jobs[job_id][0] if job_id in self._jobs else self._tables.job(job_id)

    def asset(self, asset_id: str) -> Asset | None:
        """The asset. Raises Rejected."""
        if asset_id in self._assets:
            changed = self._assets[asset_id]
            return changed[0] if changed is not None else None
        return self._tables.asset(asset_id)

    def queue(self, step: str) -> Queue | None:
        """The queue of a step. Raises Rejected."""
        key = QUEUE_PREFIX + step
        return self._queues[key][0] if key in self._queues else self._tables.queue(step)

    def unlisted(self, asset_id: str) -> UnlistedJobs | None:
        """The asset's jobs that its row does not list, read-only; None: it lists all."""
        changed = self._unlisted.get(asset_id)
        return self._tables.unlisted.of(asset_id) if changed is None else changed or None

    def keep(self, before: Job | None, job: Job) -> Effects:
        """Change the job and its asset. Returns the effects about the asset. Raises Rejected."""
        encoded = _encode(job) if before is not None else _encode(job, MAX_SUBMITTED_BYTES)
        asset, unlisted = self.asset(job.asset_id), self.unlisted(job.asset_id)
        after = fold_asset(asset, job, unlisted)
        effects = new_asset_effects(summary_of(asset, job, unlisted), after, job) if after is not asset else []
        listed = asset.jobs if asset is not None else {}
        may_displace = len(listed) >= LISTED_JOBS or unlisted is not None
        displaced = self._displaced({**listed, job.id: None}, after, job) if may_displace else []
        if after is not asset or self.replayed:
            self._assets[after.id] = (after, _encode(after))
        self._jobs[job.id] = (job, encoded)
        if may_displace:
            self._reindex(after, displaced)
        return asset_effects(after, job) if self.replayed else effects

    def _displaced(self, job_ids: Iterable[str], asset: Asset, changed: Job) -> list[Job]:
        """Jobs of `job_ids` that the asset's row does not list."""
        jobs = (changed if i == changed.id else self.job(i) for i in job_ids if i not in asset.jobs)
        return [job for job in jobs if isinstance(job, Job)]

    def _reindex(self, asset: Asset, displaced: list[Job]) -> None:
        unlisted = self._own_unlisted(asset.id)
        for job_id in asset.jobs:
            unlisted.drop(job_id)
        for job in displaced:
            unlisted.put(job)

    def delete(self, deleted: DeletedJob, asset: Asset | None) -> None:
        """Replace a job by the mark that it is deleted, and its asset by `asset` where given. Raises Rejected."""
        row = (deleted, _encode(deleted))
        if asset is not None:
            self._assets[asset.id] = (asset, _encode(asset))
        self._jobs[deleted.id] = row
        if self.unlisted(deleted.asset_id) is not None:
            self._own_unlisted(deleted.asset_id).drop(deleted.id)
            if asset is not None:
                self._reindex(asset, [])

    def keep_refused(self, job: Job) -> None:
        """Keep a refused submission as a row of its own. Raises Rejected."""
        self._jobs[job.id] = (job, _encode(job))

    def owner_of_deleted(self, asset_id: str) -> str | None:
        """Owner of an asset that this record deleted when it was first applied, by the marks of its jobs."""
        for job_id in self._tables.deleted.at(self.now, self.partition):
            job = self.job(job_id)
            if isinstance(job, DeletedJob) and job.asset_id == asset_id:
                return job.owner
        return None

    def delete_asset(self, asset_id: str) -> None:
        """Delete an asset whose jobs are deleted."""
        self._assets[asset_id] = None

    def put_queue(self, queue: Queue) -> None:
        """Change a queue. Raises Rejected."""
        self._queues[QUEUE_PREFIX + queue.step] = (queue, _encode(queue))

    @property
    def changed_rows(self) -> list[Job | Queue]:
        """Jobs and queues in their last state."""
        return [*self.changed.values(), *(queue for queue, _ in self._queues.values())]

    def _own_unlisted(self, asset_id: str) -> UnlistedJobs:
        if asset_id not in self._unlisted:
            known = self._tables.unlisted.of(asset_id)
            self._unlisted[asset_id] = known.copy() if known is not None else UnlistedJobs()
        return self._unlisted[asset_id]

    def write(self, at: Mapping[str, int]) -> bool:
        """Write the rows and update the indexes. Returns whether rows of both tables carry `at` (topic -> offset).

        A changelog is ordered, so only the last row of a record may carry the record's offset.
        """
        assets = {key: row for key, row in self._assets.items() if row is not None}
        for key in self._assets.keys() - assets.keys():
            self._tables.assets.delete(key, self.partition)
        deleted = [row for row, _ in self._jobs.values() if isinstance(row, DeletedJob)]
        for row in deleted:
            self._tables.jobs.delete(row.id, self.partition)
        jobs = {_key(row[0]): row for row in self._jobs.values()} if deleted else self._jobs
        self._put(self._tables.assets, assets, at)
        self._put(self._tables.jobs, {**self._queues, **jobs}, at)
        self._drop_refused()
        self._update_indexes(deleted)
        return bool(at and jobs and assets)

    def _put(self, table: ChangelogTable, rows: Mapping[str, _Row], at: Mapping[str, int]) -> None:
        last = list(rows)[-1] if rows and at else None
        for key, (row, encoded) in rows.items():
            table.put(key, encode_with_offsets(row, dict(at)) if key == last else encoded, self.partition)

    def _drop_refused(self) -> None:
        """Delete refused jobs that are too many."""
        for row, _ in self._jobs.values():
            if isinstance(row, DeletedJob):
                self._tables.refused.drop(row.asset_id, row.id)
            elif row.refused:
                for job_id in self._tables.refused.add(row):
                    self._tables.jobs.delete(job_id, self.partition)

    def _update_indexes(self, deleted: Iterable[DeletedJob]) -> None:
        for asset_id, unlisted in self._unlisted.items():
            self._tables.unlisted.replace(asset_id, unlisted)
        for row in deleted:
            self._tables.deleted.add(DeletedAt(row.deleted_at, row.id, self.partition))
        for queue, _ in self._queues.values():
            self._tables.queues[queue.step] = queue


def _encode(row: Job | Asset | DeletedJob | Queue, max_bytes: int = MAX_ROW_BYTES - MAX_AT_BYTES) -> bytes:
    try:
        return encode_checked(row, max_bytes)
    except RowTooLarge as error:
        raise Rejected("row-too-large", str(error)) from error


def _key(row: Job | DeletedJob) -> str:
    return deleted_key(row.id) if isinstance(row, DeletedJob) else row.id

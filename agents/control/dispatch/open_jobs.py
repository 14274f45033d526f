"""OpenJobs: the jobs of which a step waits for an executor or has one, over all partitions.

Those of this process's own partitions are in its table. Those of other control processes come from the changelog, and
are kept here.
"""

from collections.abc import AsyncIterator, Mapping, Set

import msgspec

from agents.control.job_tables import JobTables
from schemas.jobs import JOB_ENDED, DeletedJob, Job, JobStatus, Queue
from streams.kafka.envelope import UNDECODABLE, fault_of
from streams.kafka.partitioner import partition_of
from streams.process.turns import in_turns
from tables.dispatch.rows import is_open
from tables.rows import decode_job, split_rows

#: Decoded jobs that are kept: those that were changed last are the next ones to be requested.
_CACHED = 4096


class _Head(msgspec.Struct):
    """The part of a job's row that tells whether to read the rest."""

    asset_id: str = ""
    status: JobStatus | None = None


_head_decoder = msgspec.json.Decoder(_Head)


class OpenJobs:
    """Jobs by id. `owned`: the partitions of this process."""

    def __init__(self, tables: JobTables, owned: Set[int]) -> None:
        self._tables, self._owned = tables, owned
        #: Changed lately, the latest one last. An LRUCache would take 10 us of the 115 that a no-op job takes control.
        self._latest: dict[str, Job] = {}
        self._remote: dict[str, bytes] = {}
        #: Applied offsets of the partitions of other processes, by topic and partition.
        self.applied: dict[tuple[str, int], int] = {}

    async def own(self) -> AsyncIterator[Job]:
        """The open jobs of this process's table."""
        async for _, row in in_turns(self._tables.jobs.items_to_act_on(self._owned)):
            if (job := self._own_open(row)) is not None:
                yield job

    def note(self, job: Job) -> None:
        """A job of this process's table was changed."""
        self._latest.pop(job.id, None)
        if job.status in JOB_ENDED:
            return
        self._latest[job.id] = job
        if len(self._latest) > _CACHED:
            del self._latest[next(iter(self._latest))]

    def note_remote(self, record: object) -> Job | Queue | None:
        """Apply a changelog record of another process's partition. Returns the job or queue that it changed."""
        key, value = (record.key or b"").decode(errors="replace"), record.value  # type: ignore[attr-defined]  # aiokafka's
        if value is None or fault_of(record.headers) is not None:  # type: ignore[attr-defined]
            self._remote.pop(key, None)
            return None
        try:
            [(_, row, at)] = split_rows([(key, value)])
        except (*UNDECODABLE, ValueError, IndexError):
            return None  # control of that partition logs it
        self.note_applied({(topic, record.partition): offset for topic, offset in at.items()})  # type: ignore[attr-defined]
        if isinstance(row, Job):
            self._keep_remote(row, value)
        return None if isinstance(row, DeletedJob) else row

    def note_applied(self, applied: Mapping[tuple[str, int], int]) -> None:
        """Other processes have applied records up to these offsets."""
        for place, offset in applied.items():
            self.applied[place] = max(offset, self.applied.get(place, -1))

    def get(self, job_id: str) -> Job | None:
        """The job; None for one that is not known, or ended."""
        if (job := self._latest.get(job_id)) is not None:
            return job
        row = self._remote.get(job_id) or self._tables.jobs.get(job_id)
        if row is None:
            return None
        try:
            return decode_job(row)
        except UNDECODABLE:
            return None

    def _keep_remote(self, job: Job, row: bytes) -> None:
        if is_open(job):
            self._remote[job.id] = row
        else:
            self._remote.pop(job.id, None)

    def _own_open(self, row: bytes) -> Job | None:
        try:
            head = _head_decoder.decode(row)
            if head.status is None or head.status in JOB_ENDED:
                return None
            owned = partition_of(head.asset_id, self._tables.partitions) in self._owned
            return decode_job(row) if owned else None
        except UNDECODABLE:
            return None  # logged by the recovery

"""Unlisted jobs: an index of the jobs that are too many for their asset's row, rebuilt at each recovery.

An asset's row lists its newest jobs. Of the others the index keeps what the row depends on: their states, and which of
them are the newest.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Set
from typing import NamedTuple

from schemas.jobs import CACHE_PIPELINE, AssetJob, Job

#: A job's status, and whether it only caches media: what the asset's status follows from.
Kind = tuple[str, bool]


def summary(job: Job) -> AssetJob:
    """The summary of a job that an asset's row keeps."""
    reason = end_reason(job) if job.finished_at is not None else None
    return AssetJob(
        status=job.status,
        pipeline=job.pipeline,
        created_at=job.created_at,
        reason=reason,
        has_completed=job.has_completed,
    )


def end_reason(job: Job) -> str | None:
    """Why the job ended without success: an error code, or "cancelled"."""
    if job.status == "cancelled":
        return "cancelled"
    return job.error.code if job.status == "failed" and job.error is not None else None


def kind_of(known: AssetJob) -> Kind:
    """The part of a job that its asset's status depends on."""
    return "completed" if known.has_completed else known.status, known.pipeline == CACHE_PIPELINE


class _Entry(NamedTuple):
    known: AssetJob
    #: None: it has not ended.
    finished_at: float | None


class UnlistedJobs:
    """The unlisted jobs of one asset."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Entry] = {}
        #: (created_at, job id), the oldest first.
        self._order: list[tuple[float, str]] = []
        self._kinds: Counter[Kind] = Counter()

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs)

    def get(self, job_id: str) -> AssetJob | None:
        """The summary of a job; None for a job that is not unlisted."""
        entry = self._jobs.get(job_id)
        return entry.known if entry is not None else None

    def kinds(self, but: str) -> Set[Kind]:
        """Kinds of all jobs but `but`."""
        own = self._jobs.get(but)
        if own is None or self._kinds[kind_of(own.known)] > 1:
            return self._kinds.keys()
        return self._kinds.keys() - {kind_of(own.known)}

    def newest(self, count: int, but: str) -> dict[str, AssetJob]:
        """The newest `count` jobs without `but`, by id."""
        ids = [job_id for _, job_id in self._order[-(count + 1) :] if job_id != but]
        return {job_id: self._jobs[job_id].known for job_id in ids[-count:]} if count > 0 else {}

    def ends(self) -> list[tuple[float | None, str]]:
        """(when it ended or None, job id) of each."""
        return [(entry.finished_at, job_id) for job_id, entry in self._jobs.items()]

    def copy(self) -> "UnlistedJobs":
        """A copy that changes independently."""
        copied = UnlistedJobs()
        copied._jobs, copied._order, copied._kinds = self._jobs.copy(), self._order.copy(), self._kinds.copy()
        return copied

    def put(self, job: Job) -> None:
        """Add a job, or replace what is known of it."""
        self.drop(job.id)
        known = summary(job)
        self._jobs[job.id] = _Entry(known, job.finished_at)
        insort(self._order, (known.created_at, job.id))
        self._kinds[kind_of(known)] += 1

    def drop(self, job_id: str) -> None:
        """Remove a job. A job that is not there is ignored."""
        entry = self._jobs.pop(job_id, None)
        if entry is None:
            return
        del self._order[bisect_left(self._order, (entry.known.created_at, job_id))]
        kind = kind_of(entry.known)
        self._kinds[kind] -= 1
        if not self._kinds[kind]:
            del self._kinds[kind]


class UnlistedIndex:
    """The unlisted jobs of every asset that has any."""

    def __init__(self) -> None:
        self._by_asset: dict[str, UnlistedJobs] = {}

    def of(self, asset_id: str) -> UnlistedJobs | None:
        """Those of one asset, read-only; None: its row lists all of its jobs."""
        return self._by_asset.get(asset_id)

    def replace(self, asset_id: str, jobs: UnlistedJobs) -> None:
        """Set those of one asset."""
        if jobs:
            self._by_asset[asset_id] = jobs
        else:
            self._by_asset.pop(asset_id, None)

    def rebuild(
        self, jobs: Collection[Job], most: int, listed: Callable[[str], Collection[str]], has_row: Callable[[str], bool]
    ) -> None:
        """Build it from all jobs. `listed(asset_id)`: job ids of an asset's row, read where it has more than `most`.

        All jobs of an asset without a row are unlisted: its tombstone was written, and theirs were not.
        """
        self._by_asset.clear()
        counts = Counter(job.asset_id for job in jobs)
        known: dict[str, Collection[str]] = {}
        for asset_id, count in counts.items():
            if not has_row(asset_id):
                known[asset_id] = ()
            elif count > most:
                known[asset_id] = listed(asset_id)
        for job in jobs:
            if job.asset_id in known and job.id not in known[job.asset_id]:
                self._by_asset.setdefault(job.asset_id, UnlistedJobs()).put(job)

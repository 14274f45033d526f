"""The jobs that are too many for their asset's row: an index over the jobs table, rebuilt at each recovery.

An asset's row lists its newest jobs. Of the others this keeps what the row must still follow from: their states, and
which of them are the newest.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Set
from typing import NamedTuple

from schemas.jobs import CACHE_PIPELINE, AssetJob, Job

#: A job's status, and whether it only caches media: what the asset's status follows from.
Kind = tuple[str, bool]


def summary(job: Job) -> AssetJob:
    """What an asset keeps of one of its jobs."""
    reason = end_reason(job) if job.finished_at is not None else None
    return AssetJob(status=job.status, pipeline=job.pipeline, created_at=job.created_at, reason=reason)


def end_reason(job: Job) -> str | None:
    """Why the job ended without success: an error code, or "cancelled"."""
    if job.status == "cancelled":
        return "cancelled"
    return job.error.code if job.status == "failed" and job.error is not None else None


def kind_of(known: AssetJob) -> Kind:
    """What a job adds to its asset's status."""
    return known.status, known.pipeline == CACHE_PIPELINE


class _Entry(NamedTuple):
    known: AssetJob
    #: None: it has not ended.
    finished_at: float | None


class UnlistedJobs:
    """Those of one asset."""

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
        """What is known of a job; None when it is none of these."""
        entry = self._jobs.get(job_id)
        return entry.known if entry is not None else None

    def kinds(self, but: str) -> Set[Kind]:
        """Kinds of all jobs but one."""
        own = self._jobs.get(but)
        if own is None or self._kinds[kind_of(own.known)] > 1:
            return self._kinds.keys()
        return self._kinds.keys() - {kind_of(own.known)}

    def newest(self, count: int, but: str) -> dict[str, AssetJob]:
        """The newest so many, without one, by id."""
        ids = [job_id for _, job_id in self._order[-(count + 1) :] if job_id != but]
        return {job_id: self._jobs[job_id].known for job_id in ids[-count:]} if count > 0 else {}

    def ends(self) -> list[tuple[float | None, str]]:
        """(when it ended or None, job id) of each."""
        return [(entry.finished_at, job_id) for job_id, entry in self._jobs.items()]

    def put(self, job: Job) -> None:
        """Add a job, or take in how it is now."""
        self.drop(job.id)
        known = summary(job)
        self._jobs[job.id] = _Entry(known, job.finished_at)
        insort(self._order, (known.created_at, job.id))
        self._kinds[kind_of(known)] += 1

    def drop(self, job_id: str) -> None:
        """Remove a job; one that is not there: harmless."""
        entry = self._jobs.pop(job_id, None)
        if entry is None:
            return
        del self._order[bisect_left(self._order, (entry.known.created_at, job_id))]
        kind = kind_of(entry.known)
        self._kinds[kind] -= 1
        if not self._kinds[kind]:
            del self._kinds[kind]


class Unlisted:
    """Those of every asset."""

    def __init__(self) -> None:
        self._by_asset: dict[str, UnlistedJobs] = {}

    def of(self, asset_id: str) -> UnlistedJobs | None:
        """Those of one asset, not to be changed; None: its row lists all of its jobs."""
        return self._by_asset.get(asset_id)

    def put(self, job: Job) -> None:
        """The job's row changed, and its asset does not list it."""
        self._by_asset.setdefault(job.asset_id, UnlistedJobs()).put(job)

    def drop(self, asset_id: str, job_id: str) -> None:
        """The job is listed now, or gone. One that is not there: harmless."""
        jobs = self._by_asset.get(asset_id)
        if jobs is not None:
            jobs.drop(job_id)
            if not len(jobs):
                del self._by_asset[asset_id]

    def rebuild(self, jobs: Collection[Job], most: int, listed: Callable[[str], Collection[str]]) -> None:
        """From all jobs and a look at the rows of assets that have more than `most`."""
        self._by_asset.clear()
        counts = Counter(job.asset_id for job in jobs)
        known = {asset_id: listed(asset_id) for asset_id, count in counts.items() if count > most}
        for job in jobs:
            if job.asset_id in known and job.id not in known[job.asset_id]:
                self.put(job)

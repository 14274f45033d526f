"""Refused submissions as rows: a job that failed before its first step, so that its submitter sees why. Pure.

Such a job belongs to no asset's row: the asset may be another owner's, or full. It cannot be retried, only deleted.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from schemas.base import ErrorRecord
from schemas.commands import SubmitJob
from schemas.jobs import Input, Job
from streams.ids import ID_PATTERN
from tables.bounds import MAX_SUBMITTED_BYTES, bounded_error
from tables.rows import encode_row

#: Rows of refused jobs of one asset, the newest: whoever submits without end must not fill the table.
MAX_REFUSED = 100


def refused_job(message: SubmitJob, error: ErrorRecord, now: float) -> Job | None:
    """The row of a refused submission; None if there can be none: its ids are invalid, or no row can hold it."""
    if not all(ID_PATTERN.fullmatch(an_id) for an_id in (message.job_id, message.asset_id)):
        return None
    whole = _row(message, error, now)
    least = replace(whole, input=Input(), filename=None, passthrough=None)
    return next((row for row in (whole, least) if len(encode_row(row)) <= MAX_SUBMITTED_BYTES), None)


def _row(message: SubmitJob, error: ErrorRecord, now: float) -> Job:
    return Job(
        id=message.job_id,
        asset_id=message.asset_id,
        pipeline=message.pipeline,
        status="failed",
        steps=(),
        input=message.input,
        created_at=message.submitted_at,
        updated_at=now,
        finished_at=now,
        priority=message.priority,
        owner=message.owner,
        filename=message.filename,
        passthrough=message.passthrough,
        run_at=message.run_at,
        body_hash=message.body_hash,
        error=bounded_error(error),
        refused=True,
    )


class RefusedIndex:
    """Ids of the refused jobs of each asset, the oldest first."""

    def __init__(self) -> None:
        self._by_asset: defaultdict[str, deque[str]] = defaultdict(deque)

    def rebuild(self, jobs: Iterable[Job]) -> None:
        """Build it from all rows."""
        self._by_asset.clear()
        for job in sorted(
            (job for job in jobs if job.refused), key=lambda job: (job.updated_at, job.created_at, job.id)
        ):
            self._by_asset[job.asset_id].append(job.id)

    def add(self, job: Job) -> Iterator[str]:
        """Add a job. Yields the ids of those that are too many now."""
        ids = self._by_asset[job.asset_id]
        if job.id not in ids:
            ids.append(job.id)
        while len(ids) > MAX_REFUSED:
            yield ids.popleft()

    def drop(self, asset_id: str, job_id: str) -> None:
        """Remove a job that is deleted."""
        ids = self._by_asset.get(asset_id)
        if ids is not None and job_id in ids:
            ids.remove(job_id)
            if not ids:
                del self._by_asset[asset_id]

"""What a client can do to one job: cancel, retry, delete. Each checks the job's status, then writes the command."""

from schemas.commands import CancelJob, DeleteJob, RetryJob
from schemas.jobs import JOB_ENDED, Job
from tables.job_warnings import is_incomplete
from web.auth.principal import Principal
from web.http.cursors import WriteCursor
from web.http.problems import Problem
from web.readmodel import queries
from web.readmodel.changelog import Changelog
from web.services import Services

#: Longest wait for control, so that what is deleted is gone when the response is sent.
_APPLIED_S = 5.0


async def cancel(parts: Services, principal: Principal, job: Job) -> WriteCursor:
    """Cancel a job. Raises Problem: 409 when it has ended or is being cancelled, 503."""
    if job.status in JOB_ENDED:
        raise Problem(409, "job-ended", f"the job is already {job.status}")
    if job.cancelling:
        raise Problem(409, "already-cancelling", "the job is already being cancelled")
    command = CancelJob(job_id=job.id, asset_id=job.asset_id, requested_by=principal.owner)
    return await parts.commands.send([command])


async def retry(parts: Services, principal: Principal, job: Job) -> WriteCursor:
    """Resume a job that failed, was cancelled, or lacks steps. Raises Problem: 409 for any other, 503."""
    if job.refused:
        raise Problem(409, "not-retryable", "the submission was refused, there is nothing to retry: submit again")
    if not can_retry(job):
        lacks = " and lacks nothing" if job.status == "completed" else ""
        raise Problem(409, "not-retryable", f"the job is {job.status}{lacks}: there is nothing to retry")
    command = RetryJob(job_id=job.id, asset_id=job.asset_id, run=job.run, requested_by=principal.owner)
    return await parts.commands.send([command])


def can_retry(job: Job) -> bool:
    """Whether a retry would run a step of the job."""
    return not job.refused and (job.status in ("failed", "cancelled") or is_incomplete(job))


async def delete(parts: Services, principal: Principal, job: Job) -> WriteCursor:
    """Delete a job that has ended. Raises Problem: 409 when it has not, or was retried meanwhile; 503."""
    if job.status not in JOB_ENDED:
        raise still_running()
    command = DeleteJob(job_id=job.id, asset_id=job.asset_id, requested_by=principal.owner)
    cursor = await parts.commands.send([command])
    if await applied(parts, cursor, "jobs", "assets") and await parts.model.read(queries.job, job.id) is not None:
        raise still_running()
    return cursor


async def applied(parts: Services, cursor: WriteCursor, *changelogs: Changelog) -> bool:
    """Wait until the write is visible on this replica; False when it is not within a few seconds."""
    return await parts.position.until(
        lambda: all(parts.position.has_applied(changelog, cursor) for changelog in changelogs), _APPLIED_S
    )


def still_running() -> Problem:
    """409 for the deletion of what has not ended."""
    return Problem(409, "job-running", "only jobs that have ended can be deleted: cancel first, then wait for the end")

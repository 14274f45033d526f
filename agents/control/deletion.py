"""Deletion of jobs and assets, as decided by control."""

import math
from collections.abc import Iterator

from msgspec.structs import replace

from agents.control.record_changes import RecordChanges
from agents.control.transitions import advance_checked
from schemas.base import Message
from schemas.commands import DeleteAsset, DeleteJob
from schemas.jobs import JOB_ENDED, Asset, DeletedJob, Job
from tables.assets import asset_deletion_effects, forget_job
from tables.effects import Effects
from tables.reducer import State


def delete_job(changes: RecordChanges, before: State, deleted: DeletedJob, message: Message) -> Effects:
    """Delete a job, and its asset when nothing is left of it. Returns the effects about the asset. Raises Rejected."""
    if isinstance(before, Job) and before.refused:
        changes.delete(deleted, None)
        return []
    asset = changes.asset(deleted.asset_id)
    if not isinstance(before, Job):
        is_repeat = changes.replayed and asset is None and isinstance(message, DeleteJob)
        return asset_deletion_effects(deleted.asset_id, deleted.owner, deleted.deleted_at) if is_repeat else []
    if asset is None:  # a kill came between its tombstone and those of its jobs
        changes.delete(deleted, None)
        is_last = not changes.unlisted(deleted.asset_id)
        return asset_deletion_effects(deleted.asset_id, deleted.owner, deleted.deleted_at) if is_last else []
    artifacts = isinstance(message, DeleteJob) and message.artifacts
    others = _last_to_end(changes, asset, but=before.id)
    left = forget_job(asset, before, others, artifacts=artifacts, unlisted=changes.unlisted(asset.id))
    changes.delete(deleted, replace(left, updated_at=changes.now) if left is not None else None)
    if left is not None:
        return []
    changes.delete_asset(asset.id)
    return asset_deletion_effects(asset.id, asset.owner, deleted.deleted_at)


def delete_asset(changes: RecordChanges, message: DeleteAsset) -> Effects:
    """Delete an asset with its jobs, when all have ended. Returns the effects. Raises Rejected.

    A replay returns the effects again where nothing is left of the asset: they may have been lost. Where only its
    tombstone was written before a kill, its jobs are still there, and are deleted now.
    """
    asset, jobs = changes.asset(message.asset_id), _jobs_of(changes, message.asset_id)
    if asset is None and not jobs:
        if not changes.replayed:
            return []
        owner = changes.owner_of_deleted(message.asset_id)
        return asset_deletion_effects(message.asset_id, owner, changes.now)
    if any(job.status not in JOB_ENDED for job in jobs) or (changes.replayed and jobs):
        return []  # a job was submitted meanwhile; the client sees that the asset still exists
    commands = [DeleteJob(job_id=job.id, asset_id=message.asset_id, artifacts=False) for job in jobs]
    outcomes = [advance_checked(job, command, changes.now) for job, command in zip(jobs, commands, strict=True)]
    effects: Effects = []
    for deleted, job_effects in outcomes:
        if isinstance(deleted, DeletedJob):
            changes.delete(deleted, None)
            effects += job_effects
    changes.delete_asset(message.asset_id)
    owner = asset.owner if asset is not None else jobs[0].owner
    return effects + asset_deletion_effects(message.asset_id, owner, changes.now)


def _jobs_of(changes: RecordChanges, asset_id: str) -> list[Job]:
    asset = changes.asset(asset_id)
    job_ids = (*(asset.jobs if asset is not None else ()), *(changes.unlisted(asset_id) or ()))
    return [job for job_id in job_ids if isinstance(job := changes.job(job_id), Job)]


def _last_to_end(changes: RecordChanges, asset: Asset, but: str) -> Iterator[Job]:
    """The asset's jobs without `but`: those that have not ended, then the last to end first. Read one by one."""
    listed = (changes.job(job_id) for job_id in asset.jobs)
    ends = [(job.finished_at, job.id) for job in listed if isinstance(job, Job)]
    unlisted = changes.unlisted(asset.id)
    ends += unlisted.ends() if unlisted is not None else []
    for _, job_id in sorted(((math.inf if at is None else at, job_id) for at, job_id in ends), reverse=True):
        if job_id != but and isinstance(job := changes.job(job_id), Job):
            yield job

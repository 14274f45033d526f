"""The asset as a fold of its jobs, pure. Folding a job twice changes nothing the second time."""

import math
from collections.abc import Iterable, Mapping, Set
from typing import Any

from msgspec.structs import replace

from schemas.facts import AssetDeleted, AssetFailed, AssetReady
from schemas.jobs import JOB_ENDED, Asset, AssetJob, AssetStatus, Job
from schemas.removals import RemoveArtifacts
from tables.effects import Effects
from tables.unlisted import Kind, UnlistedJobs, end_reason, kind_of, summary

#: Jobs in an asset's row, the newest: as many as a page of `GET /v1/jobs` has. The row is written with every change of
#: a job: with all jobs in it, 2,500 jobs exceeded the largest record, and each change cost as much as all.
LISTED_JOBS = 50
#: Most jobs of one asset, ended or not. Control deletes an asset with all of its jobs at once, which takes about a
#: second for so many.
MAX_ASSET_JOBS = 10_000


def fold_asset(asset: Asset | None, job: Job, unlisted: UnlistedJobs | None = None) -> Asset:
    """`asset` with the state of `job`; the first job creates it. Returns the same object when nothing changed.

    `unlisted`: the asset's jobs that its row does not list, before the change of `job`.
    """
    asset = asset or _new_asset(job)
    current = summary(job)
    outputs, published_at = _published(asset, job)
    known = summary_of(asset, job, unlisted)
    if current == known and outputs == asset.outputs and published_at == asset.published_at:
        return asset
    every = {**asset.jobs, job.id: current}
    status = _status(asset, every, _others(unlisted, job), kept=asset.kept)
    return replace(
        asset,
        status=status,
        reason=current.reason if status == "FAILED" else None,
        jobs=every if len(every) <= LISTED_JOBS else _newest(every),
        outputs=outputs,
        published_at=published_at,
        updated_at=job.updated_at,
    )


def summary_of(asset: Asset | None, job: Job, unlisted: UnlistedJobs | None) -> AssetJob | None:
    """The last known summary of a job, listed or not."""
    known = asset.jobs.get(job.id) if asset is not None else None
    return unlisted.get(job.id) if known is None and unlisted is not None else known


def _others(unlisted: UnlistedJobs | None, job: Job) -> Set[Kind]:
    return unlisted.kinds(but=job.id) if unlisted is not None else frozenset()


def _newest(jobs: dict[str, AssetJob]) -> dict[str, AssetJob]:
    newest = sorted(jobs, key=lambda job_id: (jobs[job_id].created_at, job_id))[-LISTED_JOBS:]
    return {job_id: jobs[job_id] for job_id in newest}


def forget_job(
    asset: Asset, job: Job, others: Iterable[Job], *, artifacts: bool, unlisted: UnlistedJobs | None = None
) -> Asset | None:
    """`asset` without `job`; None when nothing is left of it. `others`: its other jobs: those that have not ended, then
    the last to end first; only as many are read as needed. `artifacts`: remove the outputs of the job too; otherwise
    the asset stays as playable as it was. `unlisted`: as in `fold_asset`.
    """
    jobs = {job_id: known for job_id, known in asset.jobs.items() if job_id != job.id}
    if unlisted is not None:
        jobs = {**unlisted.newest(LISTED_JOBS - len(jobs), but=job.id), **jobs}
    if not jobs and (artifacts or asset.status not in ("READY", "CACHED")):
        return None
    kept = asset.kept or (not artifacts and job.status == "completed")
    left = replace(asset, jobs=jobs, kept=kept)
    if artifacts:
        left = _without_outputs(left, job, others)
    status = _status(left, jobs, _others(unlisted, job), kept=kept)
    return replace(left, status=status, reason=_first_reason(jobs) if status == "FAILED" else None)


def _without_outputs(asset: Asset, job: Job, others: Iterable[Job]) -> Asset:
    """`asset` without the outputs of `job`; outputs that another job published before take their place."""
    own = {step.spec.name: step.finished_at for step in job.steps if step.status == "completed"}
    lost = {name for name, at in asset.published_at.items() if name in own and own[name] == at}
    left = replace(
        asset,
        outputs={name: outputs for name, outputs in asset.outputs.items() if name not in lost},
        published_at={name: at for name, at in asset.published_at.items() if name not in lost},
    )
    for other in others if lost else ():
        ended_at = math.inf if other.finished_at is None else other.finished_at
        if all(left.published_at.get(name, -1.0) >= ended_at for name in lost):
            break  # the remaining jobs published before that
        outputs, published_at = _published(left, other)
        left = replace(left, outputs=outputs, published_at=published_at)
    return left


def _first_reason(jobs: dict[str, AssetJob]) -> str | None:
    return next((job.reason for job in jobs.values() if job.reason is not None), None)


def asset_deletion_effects(asset_id: str, owner: str | None, deleted_at: float) -> Effects:
    """All effects that the deletion of an asset implies."""
    return [
        AssetDeleted(asset_id=asset_id, deleted_at=deleted_at, owner=owner),
        RemoveArtifacts(asset_id=asset_id, deleted_at=deleted_at, whole_asset=True),
    ]


def new_asset_effects(known: AssetJob | None, after: Asset, job: Job) -> Effects:
    """The effects of a change of `job`: `known` was its summary before, `after` is the asset with it."""
    return [] if known == (after.jobs.get(job.id) or summary(job)) else asset_effects(after, job)


def asset_effects(asset: Asset, job: Job) -> Effects:
    """All effects about the asset that `job` implies."""
    if job.status == "completed":
        return [AssetReady(asset_id=asset.id, job_id=job.id, run=job.run, owner=asset.owner, outputs=asset.outputs)]
    if job.status in JOB_ENDED and asset.status == "FAILED":
        reason = end_reason(job) or "failed"
        return [AssetFailed(asset_id=asset.id, job_id=job.id, run=job.run, reason=reason, owner=asset.owner)]
    return []


def _new_asset(job: Job) -> Asset:
    return Asset(
        id=job.asset_id,
        status="UPLOADED",
        input=job.input,
        created_at=job.created_at,
        updated_at=job.updated_at,
        owner=job.owner,
        filename=job.filename,
        passthrough=job.passthrough,
    )


def asset_status(states: Set[str], *, kept: bool) -> AssetStatus:
    """READY once any job completed, even if that job was deleted (`kept`); otherwise the state of the other jobs."""
    if kept or "completed" in states:
        return "READY"
    if "active" in states:
        return "PROCESSING"
    return "UPLOADED" if "waiting" in states else "FAILED"


#: The status of cached media: its only step is the download.
_CACHED: dict[AssetStatus, AssetStatus] = {"UPLOADED": "PENDING", "PROCESSING": "DOWNLOADING", "READY": "CACHED"}


def _status(asset: Asset, jobs: Mapping[str, AssetJob], others: Set[Kind], *, kept: bool) -> AssetStatus:
    """`others`: kinds of the jobs that are not among `jobs`."""
    states = {known.status for known in jobs.values()} | {status for status, _ in others}
    status = asset_status(states, kept=kept)
    if asset.input.url is None or not asset.outputs.keys() <= {"download"}:
        return status
    only_cached = all(kind_of(known)[1] for known in jobs.values()) and all(cached for _, cached in others)
    return _CACHED.get(status, status) if only_cached else status


def _published(asset: Asset, job: Job) -> tuple[dict[str, Any], dict[str, float]]:
    """The newest outputs per step, and when they were published."""
    outputs, published_at = dict(asset.outputs), dict(asset.published_at)
    for step in job.steps:
        finished_at = step.finished_at or 0.0
        if (
            step.status == "completed"
            and step.outputs is not None
            and finished_at >= published_at.get(step.spec.name, 0.0)
        ):
            outputs[step.spec.name], published_at[step.spec.name] = step.outputs, finished_at
    return outputs, published_at

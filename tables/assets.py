"""The asset as a fold of its jobs, pure: folding a job twice changes nothing the second time."""

from collections.abc import Iterable, Mapping, Set
from typing import Any

from msgspec.structs import replace

from schemas.facts import AssetDeleted, AssetFailed, AssetReady
from schemas.jobs import CACHE_PIPELINE, JOB_ENDED, Asset, AssetJob, AssetStatus, Job
from schemas.removals import RemoveArtifacts
from tables.statements import Effects


def fold_asset(asset: Asset | None, job: Job) -> Asset:
    """`asset` after what `job` says now; made by the first job. Returns the same object when nothing changed."""
    asset = asset or _fresh(job)
    said = AssetJob(status=job.status, pipeline=job.pipeline, created_at=job.created_at, reason=_reason(job))
    outputs, published_at = _published(asset, job)
    if said == asset.jobs.get(job.id) and outputs == asset.outputs and published_at == asset.published_at:
        return asset
    jobs = {**asset.jobs, job.id: said}
    status = _status(asset, jobs, kept=asset.kept)
    return replace(
        asset,
        status=status,
        reason=said.reason if status == "FAILED" else None,
        jobs=jobs,
        outputs=outputs,
        published_at=published_at,
        updated_at=job.updated_at,
    )


def forget_job(asset: Asset, job: Job, others: Iterable[Job], *, artifacts: bool) -> Asset | None:
    """`asset` without `job`; None when nothing is left of it. `others`: its other jobs. `artifacts`: what the job
    published goes too; otherwise the asset stays as playable as it was.
    """
    jobs = {job_id: known for job_id, known in asset.jobs.items() if job_id != job.id}
    if not jobs and (artifacts or asset.status not in ("READY", "CACHED")):
        return None
    kept = asset.kept or (not artifacts and job.status == "completed")
    left = replace(asset, jobs=jobs, kept=kept)
    if artifacts:
        left = _without_outputs(left, job, others)
    status = _status(left, jobs, kept=kept)
    return replace(left, status=status, reason=_first_reason(jobs) if status == "FAILED" else None)


def _without_outputs(asset: Asset, job: Job, others: Iterable[Job]) -> Asset:
    """What `job` published is not pointed at any more; what another one had published before stands again."""
    own = {step.spec.name: step.finished_at for step in job.steps if step.status == "completed"}
    theirs = {name for name, at in asset.published_at.items() if name not in own or own[name] != at}
    left = replace(
        asset,
        outputs={name: outputs for name, outputs in asset.outputs.items() if name in theirs},
        published_at={name: at for name, at in asset.published_at.items() if name in theirs},
    )
    for other in others:
        outputs, published_at = _published(left, other)
        left = replace(left, outputs=outputs, published_at=published_at)
    return left


def _first_reason(jobs: dict[str, AssetJob]) -> str | None:
    return next((job.reason for job in jobs.values() if job.reason is not None), None)


def asset_gone(asset_id: str, owner: str | None, deleted_at: float) -> Effects:
    """What stands about an asset of which nothing is left."""
    return [
        AssetDeleted(asset_id=asset_id, deleted_at=deleted_at, owner=owner),
        RemoveArtifacts(asset_id=asset_id, deleted_at=deleted_at, whole_asset=True),
    ]


def asset_news(before: Asset | None, after: Asset, job: Job) -> Effects:
    """What must be said because `job` turned `before` into `after`."""
    known = before.jobs.get(job.id) if before is not None else None
    return [] if known == after.jobs[job.id] else asset_outstanding(after, job)


def asset_outstanding(asset: Asset, job: Job) -> Effects:
    """What stands about the asset because of `job`."""
    if job.status == "completed":
        return [AssetReady(asset_id=asset.id, job_id=job.id, run=job.run, owner=asset.owner, outputs=asset.outputs)]
    if job.status in JOB_ENDED and asset.status == "FAILED":
        reason = _reason(job) or "failed"
        return [AssetFailed(asset_id=asset.id, job_id=job.id, run=job.run, reason=reason, owner=asset.owner)]
    return []


def _fresh(job: Job) -> Asset:
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
    """READY once any job completed, also when that one is forgotten (`kept`); else what the others are at."""
    if kept or "completed" in states:
        return "READY"
    if "active" in states:
        return "PROCESSING"
    return "UPLOADED" if "waiting" in states else "FAILED"


#: The same of cached media, which has nothing but its download.
_CACHED: dict[AssetStatus, AssetStatus] = {"UPLOADED": "PENDING", "PROCESSING": "DOWNLOADING", "READY": "CACHED"}


def _status(asset: Asset, jobs: Mapping[str, AssetJob], *, kept: bool) -> AssetStatus:
    status = asset_status({known.status for known in jobs.values()}, kept=kept)
    if asset.input.url is None or not asset.outputs.keys() <= {"download"}:
        return status
    only_cached = all(known.pipeline == CACHE_PIPELINE for known in jobs.values())
    return _CACHED.get(status, status) if only_cached else status


def _reason(job: Job) -> str | None:
    if job.status == "cancelled":
        return "cancelled"
    return job.error.code if job.status == "failed" and job.error is not None else None


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

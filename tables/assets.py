"""The asset as a fold of its jobs, pure. Folding a job twice changes nothing the second time."""

import math
from collections.abc import Iterable, Iterator, Mapping, Set

from msgspec.structs import replace

from schemas.facts import AssetDeleted, AssetFailed, AssetReady
from schemas.jobs import JOB_ENDED, Asset, AssetJob, AssetStatus, Job, MissingStep
from schemas.removals import RemoveArtifacts
from tables.effects import Effects
from tables.job_warnings import asset_warnings, missing_steps
from tables.unlisted import Kind, UnlistedJobs, end_reason, kind_of, summary

#: Jobs in an asset's row, the newest: as many as a page of `GET /v1/jobs` has. The row is written with every change of
#: a job: with all jobs in it, 2,500 jobs exceeded the largest record, and each change cost as much as all.
LISTED_JOBS = 50
#: Most jobs of one asset, ended or not. Control deletes an asset with all of its jobs at once, which takes about a
#: second for so many.
MAX_ASSET_JOBS = 10_000
_WITHOUT_OUTCOME = frozenset({"waiting", "active", "delayed", "cancelled"})


def fold_asset(asset: Asset | None, job: Job, unlisted: UnlistedJobs | None = None) -> Asset:
    """`asset` with the state of `job`; the first job creates it. Returns the same object when nothing changed.

    `unlisted`: the asset's jobs that its row does not list, before the change of `job`.
    """
    asset = asset or _new_asset(job)
    current = summary(job)
    after = _with_outcomes(asset, job)
    if current == summary_of(asset, job, unlisted) and after is asset:
        return asset
    every = {**asset.jobs, job.id: current}
    status = _status(asset, every, _others(unlisted, job), kept=asset.kept)
    return replace(
        after,
        status=status,
        reason=current.reason if status == "FAILED" else None,
        jobs=every if len(every) <= LISTED_JOBS else _newest(every),
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
    """`asset` without the outputs and the missing steps of `job`; those of another job take their place."""
    own = {step.spec.name: step.finished_at for step in job.steps if step.status == "completed"}
    lost = {name for name, at in asset.published_at.items() if name in own and own[name] == at}
    found = {name for name, missing in asset.missing.items() if missing.job_id == job.id}
    left = replace(
        asset,
        outputs={name: outputs for name, outputs in asset.outputs.items() if name not in lost},
        published_at={name: at for name, at in asset.published_at.items() if name not in lost},
        missing={name: missing for name, missing in asset.missing.items() if name not in found},
    )
    for other in others if lost or found else ():
        ended_at = math.inf if other.finished_at is None else other.finished_at
        if all(_outcome_at(left, name) >= ended_at for name in lost | found):
            break  # the remaining jobs ended before that
        left = _with_outcomes(left, other)
    return left


def _outcome_at(asset: Asset, step: str) -> float:
    """When the step's newest outcome came about; -1: it has none."""
    missing = asset.missing.get(step)
    return max(asset.published_at.get(step, -1.0), -1.0 if missing is None else missing.at)


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
        return [_ready(asset, job)]
    if job.status in JOB_ENDED and asset.status == "FAILED":
        reason = end_reason(job) or "failed"
        return [AssetFailed(asset_id=asset.id, job_id=job.id, run=job.run, reason=reason, owner=asset.owner)]
    return []


def _ready(asset: Asset, job: Job) -> AssetReady:
    return AssetReady(
        asset_id=asset.id,
        job_id=job.id,
        run=job.run,
        owner=asset.owner,
        outputs=asset.outputs,
        warnings=asset_warnings(asset),
    )


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
    states = {"completed" if known.has_completed else known.status for known in jobs.values()}
    status = asset_status(states | {status for status, _ in others} if others else states, kept=kept)
    if asset.input.url is None or not asset.outputs.keys() <= {"download"}:
        return status
    only_cached = all(cached for _, cached in {kind_of(known) for known in jobs.values()} | others)
    return _CACHED.get(status, status) if only_cached else status


def _with_outcomes(asset: Asset, job: Job) -> Asset:
    """`asset` with the steps of `job` that published outputs, or without which it completed, where they are newer."""
    if _WITHOUT_OUTCOME.issuperset([step.status for step in job.steps]):
        return asset
    outputs, published_at, missing = dict(asset.outputs), dict(asset.published_at), dict(asset.missing)
    for step in job.steps:
        finished_at = step.finished_at or 0.0
        if (
            step.status == "completed"
            and step.outputs is not None
            and finished_at >= published_at.get(step.spec.name, 0.0)
        ):
            outputs[step.spec.name], published_at[step.spec.name] = step.outputs, finished_at
    for name, found in _missing(job):
        if name not in missing or found.at >= missing[name].at:
            missing[name] = found
    if (outputs, published_at, missing) == (asset.outputs, asset.published_at, asset.missing):
        return asset
    return replace(asset, outputs=outputs, published_at=published_at, missing=missing)


def _missing(job: Job) -> Iterator[tuple[str, MissingStep]]:
    """The steps without which the job completed, by name."""
    for step, warning in missing_steps(job) if job.status == "completed" else ():
        at = step.finished_at or 0.0
        yield step.spec.name, MissingStep(job_id=job.id, code=warning.code, message=warning.message, at=at)

"""Jobs and assets of the past as far as counts need them: compact, and what each event changes in the counts. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import msgspec

from schemas.facts import AssetDeleted, AssetReady, JobFact
from schemas.jobs import JobStatus, Step, StepSpec, StepStatus
from tables.assets import asset_status
from web.timelines.facts import Fact
from web.timelines.history import PastJob, fold


class CountKey(NamedTuple):
    """What is counted: jobs (`step` is ''), steps of jobs, or assets (`pipeline` and `step` are '')."""

    owner: str
    pipeline: str
    step: str
    status: str


class CountedJob(msgspec.Struct, frozen=True, array_like=True):
    """A job's state as stored: a tenth of its row."""

    asset_id: str
    owner: str | None
    pipeline: str
    run: int
    status: JobStatus
    has_ended: bool
    #: Status, run and attempt by step.
    steps: dict[str, tuple[StepStatus, int, int]]


class CountedAsset(msgspec.Struct, frozen=True, array_like=True):
    """An asset's state as stored."""

    owner: str | None
    #: Number of its jobs by status.
    jobs: dict[str, int]
    #: Whether a job of it completed.
    is_ready: bool


class Before(Protocol):
    """The stored state before an event."""

    def job(self, job_id: str) -> CountedJob | None:
        """A job."""

    def asset(self, asset_id: str) -> CountedAsset | None:
        """An asset."""


class Folding:
    """The fold of a batch of events over the stored state. Nothing is stored: `jobs` and `assets` are to be written."""

    def __init__(self, before: Before) -> None:
        self._before = before
        self._jobs: dict[str, PastJob | None] = {}
        #: Assets that the events concern; None: nothing is left of it.
        self.assets: dict[str, CountedAsset | None] = {}

    @property
    def jobs(self) -> Iterator[tuple[str, CountedJob | None]]:
        """Jobs that the events concern; None: it was deleted."""
        return ((job_id, None if job is None else _compact(job)) for job_id, job in self._jobs.items())

    def take(self, fact: Fact) -> Mapping[CountKey, int]:
        """Apply one event. The changes of the counts; empty for a repeat."""
        match fact.message:
            case JobFact():
                return self._take_job(fact, fact.message)
            case AssetReady(asset_id=asset_id):
                return self._change_asset(asset_id, fact.message.owner, is_ready=True)
            case AssetDeleted(asset_id=asset_id):
                return self._change_asset(asset_id, fact.message.owner, is_ready=False)
            case _:
                return {}

    def _take_job(self, fact: Fact, message: JobFact) -> dict[CountKey, int]:
        before = self._job(message.job_id)
        after = fold(before, fact)
        if after is before:
            return {}
        self._jobs[message.job_id] = after
        changes = _difference(_keys_of_job(before), _keys_of_job(after))
        less, more = (None if job is None else job.status for job in (before, after))
        if less != more:
            changes |= self._change_asset(message.asset_id, message.owner, less, more)
        return changes

    def _change_asset(
        self,
        asset_id: str,
        owner: str | None,
        less: str | None = None,
        more: str | None = None,
        is_ready: bool | None = None,
    ) -> dict[CountKey, int]:
        before = self._asset(asset_id)
        known = before or CountedAsset(owner, {}, is_ready=False)
        jobs = Counter(known.jobs)
        if less is not None:
            jobs[less] -= 1
        if more is not None:
            jobs[more] += 1
        ready = known.is_ready if is_ready is None else is_ready
        changed = CountedAsset(known.owner, dict(+jobs), is_ready=ready)
        after = self.assets[asset_id] = changed if changed.jobs or ready else None
        return _difference(_keys_of_asset(before), _keys_of_asset(after))

    def _job(self, job_id: str) -> PastJob | None:
        if job_id not in self._jobs:
            stored = self._before.job(job_id)
            self._jobs[job_id] = None if stored is None else _expanded(job_id, stored)
        return self._jobs[job_id]

    def _asset(self, asset_id: str) -> CountedAsset | None:
        if asset_id not in self.assets:
            self.assets[asset_id] = self._before.asset(asset_id)
        return self.assets[asset_id]


def _compact(job: PastJob) -> CountedJob:
    steps = {name: (step.status, step.run, step.attempt) for name, step in job.steps.items()}
    return CountedJob(job.asset_id, job.owner, job.pipeline, job.run, job.status, job.finished_at is not None, steps)


def _expanded(job_id: str, job: CountedJob) -> PastJob:
    """The job for `fold`, which compares statuses and numbers only: times are 0."""
    return PastJob(
        job_id,
        job.asset_id,
        job.pipeline,
        job.owner,
        created_at=0.0,
        updated_at=0.0,
        status=job.status,
        run=job.run,
        finished_at=0.0 if job.has_ended else None,
        steps={
            name: Step(spec=StepSpec(name=name), status=status, run=run, attempt=attempt)
            for name, (status, run, attempt) in job.steps.items()
        },
    )


def _keys_of_job(job: PastJob | None) -> list[CountKey]:
    if job is None:
        return []
    owner = job.owner or ""
    steps = [CountKey(owner, job.pipeline, name, step.status) for name, step in job.steps.items()]
    return [CountKey(owner, job.pipeline, "", job.status), *steps]


def _keys_of_asset(asset: CountedAsset | None) -> list[CountKey]:
    if asset is None:
        return []
    status = asset_status(asset.jobs.keys(), kept=asset.is_ready)
    return [CountKey(asset.owner or "", "", "", status)]


def _difference(before: list[CountKey], after: list[CountKey]) -> dict[CountKey, int]:
    """Every key is at most once in each: no Counter, which takes five times as long."""
    removed, added = set(before), set(after)
    return dict.fromkeys(removed - added, -1) | dict.fromkeys(added - removed, 1)

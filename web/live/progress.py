"""Live progress of each step of each run, in memory: never decreasing, bounded, safe to lose."""

from collections import OrderedDict
from typing import NamedTuple

from schemas.jobs import JOB_ENDED, Job, Step
from schemas.step_events import StepCaptioned, StepProgressed
from tables.scheduling import is_scheduled
from web.live.eta import EtaEstimator
from web.live.queue_positions import QueuedJob, Queues
from web.live.step_history import StepHistory
from web.readmodel.changelog import is_queued
from web.readmodel.job_progress import NO_LIVE, Live, job_progress
from web.views.build import LiveOverlay

#: Jobs that one eviction checks at most; where all of them run, the next eviction goes on.
_TRIES = 4


class ProgressChange(NamedTuple):
    """Progress of a running step has increased."""

    job: Job
    step: str
    #: 0-1, of the step and of the whole job.
    step_progress: float
    job_progress: float
    eta_s: float | None
    parts: dict[str, float]


class _RunProgress:
    """The highest progress of each step in one run."""

    __slots__ = ("parts", "run", "steps")

    def __init__(self, run: int) -> None:
        self.run = run
        self.steps: dict[str, float] = {}
        #: Latest progress by part, by step.
        self.parts: dict[str, dict[str, float]] = {}


class Progress:
    """State of jobs that is in no row: live progress, queue positions, time estimates.

    Changed on the event loop only; `live` and `overlay` may be called in any thread.
    """

    def __init__(self, max_jobs: int = 20_000) -> None:
        self._max_jobs = max_jobs
        self._active: dict[str, Job] = {}
        self._runs: OrderedDict[str, _RunProgress] = OrderedDict()
        #: Jobs whose progress has increased since the last `take_changed`.
        self._changed: set[str] = set()
        self.queues, self._eta = Queues(), EtaEstimator()
        #: Ended steps by minute.
        self.history = StepHistory()

    def overlay(self, job: Job) -> LiveOverlay:
        """The live state of a job."""
        if job.status in JOB_ENDED:
            return LiveOverlay(self.live(job.id, job.run))
        live, run = self.live(job.id, job.run), self._runs.get(job.id)
        names = [step.spec.name for step in job.steps if is_queued(step)]  # the row may be newer, or older
        positions = {name: n for name in names if (n := self.queues.position(job.id, name)) is not None}
        reasons = {name: self.queues.waiting_reason(job.id, name) for name in names}
        remaining_s = {
            step.spec.name: seconds
            for step in job.steps
            if (seconds := self._remaining_s(job, step, live.get(step.spec.name, 0.0))) is not None
        }
        parts = run.parts if run is not None and run.run == job.run else {}
        return LiveOverlay(live, parts, positions, remaining_s, reasons)

    def may_see(self, job_id: str, owner: str | None) -> bool:
        """Whether `owner` (None: an admin) may see that running job."""
        job = self._active.get(job_id)
        return owner is None or (job is not None and job.owner == owner)

    def queued_s(self, job: QueuedJob, step: str) -> float | None:
        """Seconds until a step that waits for an executor is done: the wait, and what the step takes."""
        wait_s, takes_s = self.queues.wait_s(job.job_id, step), self._eta.duration_s(step, job.work.get(step))
        return None if wait_s is None or takes_s is None else round(wait_s + takes_s, 1)

    def _remaining_s(self, job: Job, step: Step, progress: float) -> float | None:
        if self.queues.is_held(step) or is_scheduled(job):
            return None
        takes_s = self._eta.remaining_s(job, step, progress)
        wait_s = self.queues.wait_s(job.id, step.spec.name) if is_queued(step) else 0.0
        return None if wait_s is None or takes_s is None else round(wait_s + takes_s, 1)

    def live(self, job_id: str, run: int) -> Live:
        """Live progress by step of that run."""
        known = self._runs.get(job_id)
        return known.steps if known is not None and known.run == run else NO_LIVE

    def restore(self, job_id: str, run: int, live: Live) -> None:
        """Take over progress from before a restart."""
        known = self._run(job_id, run)
        if known is not None:
            known.steps |= {step: max(progress, known.steps.get(step, 0.0)) for step, progress in live.items()}

    def update(self, job: Job) -> None:
        """Take over the current row of a job. Progress is kept after a failure, to show how far the job came."""
        self.queues.update(job)
        self._eta.learn(job)
        self.history.learn(job)
        if job.status == "active":
            self._active[job.id] = job
            return
        self._active.pop(job.id, None)
        if job.status == "completed":
            self._runs.pop(job.id, None)

    def forget(self, job_id: str) -> None:
        """Remove a deleted job."""
        self.queues.forget(job_id)
        self._active.pop(job_id, None)
        self._runs.pop(job_id, None)

    def clear(self) -> None:
        """Forget all rows: they are read again from the same log. Progress stays."""
        self.queues.clear()
        self._eta.clear()
        self.history.clear()
        self._active.clear()

    def reset(self) -> None:
        """Forget everything: rows are read from another log."""
        self.clear()
        self._runs.clear()

    def fold(self, event: StepProgressed) -> ProgressChange | None:
        """Apply one event. None when nothing is to be published: no increase, or no step that is known to run."""
        job = self._active.get(event.job_id)
        if job is not None and not _is_owner(job, event):
            return None
        run = self._run(event.job_id, event.run)
        if run is None or event.progress <= run.steps.get(event.step, -1.0):
            return None
        progress = run.steps[event.step] = min(event.progress, 1.0)
        self._changed.add(event.job_id)
        run.parts[event.step] = event.parts
        if job is None:
            return None
        step = next(step for step in job.steps if step.spec.name == event.step)
        eta_s = self._eta.remaining_s(job, step, progress)
        return ProgressChange(job, event.step, progress, job_progress(job, run.steps), eta_s, event.parts)

    def take_changed(self) -> list[tuple[str, int, Live]]:
        """(job id, run, progress by step) of each job whose progress has increased since the last call: to be stored,
        so that shown progress does not fall after a restart.
        """
        changed, self._changed = self._changed, set()
        return [(job_id, run.run, run.steps) for job_id in changed if (run := self._runs.get(job_id)) is not None]

    def captioned_job(self, event: StepCaptioned) -> Job | None:
        """The running job of a caption; None when it comes from an attempt that is not known to run."""
        job = self._active.get(event.job_id)
        return job if job is not None and _is_owner(job, event) else None

    def _run(self, job_id: str, run: int) -> _RunProgress | None:
        """The progress of a run, created if necessary; None for a run before the current one."""
        known = self._runs.get(job_id)
        if known is not None and run < known.run:
            return None
        if known is None or run > known.run:
            known = self._runs[job_id] = _RunProgress(run)
        self._runs.move_to_end(job_id)
        self._evict()
        return known

    def _evict(self) -> None:
        """Forget the job without progress for the longest time, but no running job: its shown progress would fall."""
        for _ in range(_TRIES):
            if len(self._runs) <= self._max_jobs:
                return
            job_id, run = self._runs.popitem(last=False)
            if job_id in self._active:
                self._runs[job_id] = run


def _is_owner(job: Job, event: StepProgressed | StepCaptioned) -> bool:
    """Whether the event comes from the attempt that runs according to the row."""
    return job.run == event.run and any(
        step.spec.name == event.step
        and step.status == "active"
        and step.lease is not None
        and step.lease.id == event.lease_id
        for step in job.steps
    )

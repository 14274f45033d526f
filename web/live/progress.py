"""media.progress -> the progress of each step of each run, in memory: never falling, bounded, safe to lose."""

from collections import OrderedDict
from typing import NamedTuple

from schemas.jobs import JOB_ENDED, Job
from schemas.step_events import StepCaptioned, StepProgressed
from web.live.eta import EtaEstimator
from web.live.queue_positions import Queues
from web.readmodel.changelog import is_queued
from web.readmodel.job_progress import Live, job_progress
from web.views.build import LiveOverlay

_NONE: Live = {}
#: Jobs that are looked at to make room for one: the next one looks further, where these run.
_TRIES = 4


class Moved(NamedTuple):
    """A running step of a known job has come further."""

    job: Job
    step: str
    #: 0-1, of the step and of the whole job.
    step_progress: float
    job_progress: float
    eta_s: float | None
    parts: dict[str, float]


class _Seen:
    """The highest progress of each step in one run."""

    __slots__ = ("parts", "run", "steps")

    def __init__(self, run: int) -> None:
        self.run = run
        self.steps: dict[str, float] = {}
        #: The latest progress by part, by step.
        self.parts: dict[str, dict[str, float]] = {}


class Progress:
    """What no row says: progress, places in queues, the time left.

    Changed on the event loop only; `live` and `beside` may be read in any thread.
    """

    def __init__(self, remembered: int = 20_000) -> None:
        self._remembered = remembered
        self._active: dict[str, Job] = {}
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        #: Jobs of which more was seen since `risen` was called last.
        self._risen: set[str] = set()
        self.queues, self._pace = Queues(), EtaEstimator()

    def beside(self, job: Job) -> LiveOverlay:
        """All that is known of the job beside its row."""
        if job.status in JOB_ENDED:
            return LiveOverlay(self.live(job.id, job.run))
        live, seen = self.live(job.id, job.run), self._seen.get(job.id)
        names = [step.spec.name for step in job.steps if is_queued(step)]  # the row may be newer, or older
        positions = {name: place for name in names if (place := self.queues.position(job.id, name)) is not None}
        left_s = {
            step.spec.name: left
            for step in job.steps
            if not self.queues.is_held(step)
            and (left := self._pace.left_s(job, step, live.get(step.spec.name, 0.0))) is not None
        }
        parts = seen.parts if seen is not None and seen.run == job.run else {}
        return LiveOverlay(live, parts, positions, left_s, self.queues.paused)

    def live(self, job_id: str, run: int) -> Live:
        """Progress by step of that run, as far as it was seen."""
        seen = self._seen.get(job_id)
        return seen.steps if seen is not None and seen.run == run else _NONE

    def restore(self, job_id: str, run: int, live: Live) -> None:
        """Take in what was seen before a restart."""
        seen = self._run(job_id, run)
        if seen is not None:
            seen.steps |= {step: max(progress, seen.steps.get(step, 0.0)) for step, progress in live.items()}

    def watch(self, job: Job) -> None:
        """Learn how the job stands now. Kept after a failure, where it still shows how far it came."""
        self.queues.watch(job)
        self._pace.watch(job)
        if job.status == "active":
            self._active[job.id] = job
            return
        self._active.pop(job.id, None)
        if job.status == "completed":
            self._seen.pop(job.id, None)

    def forget(self, job_id: str) -> None:
        """The job was deleted."""
        self.queues.forget(job_id)
        self._active.pop(job_id, None)
        self._seen.pop(job_id, None)

    def clear(self) -> None:
        """All rows are read again, from the same log: what was seen of them stays."""
        self.queues.clear()
        self._pace.clear()
        self._active.clear()

    def forget_all(self) -> None:
        """Everything is read from another log."""
        self.clear()
        self._seen.clear()

    def fold(self, event: StepProgressed) -> Moved | None:
        """Take in one message. None when there is nothing to show: old news, or no step that is known to run."""
        job = self._active.get(event.job_id)
        if job is not None and not _is_owner(job, event):
            return None
        seen = self._run(event.job_id, event.run)
        if seen is None or event.progress <= seen.steps.get(event.step, -1.0):
            return None
        progress = seen.steps[event.step] = min(event.progress, 1.0)
        self._risen.add(event.job_id)
        seen.parts[event.step] = event.parts
        if job is None:
            return None
        step = next(step for step in job.steps if step.spec.name == event.step)
        left_s = self._pace.left_s(job, step, progress)
        return Moved(job, event.step, progress, job_progress(job, seen.steps), left_s, event.parts)

    def risen(self) -> list[tuple[str, int, Live]]:
        """(job id, run, progress by step) of each job of which more was seen since this was called last: what is shown
        of them must outlive the process.
        """
        risen, self._risen = self._risen, set()
        return [(job_id, seen.run, seen.steps) for job_id in risen if (seen := self._seen.get(job_id)) is not None]

    def speaker(self, event: StepCaptioned) -> Job | None:
        """The running job that a caption belongs to; None when it comes from no attempt that is known to run."""
        job = self._active.get(event.job_id)
        return job if job is not None and _is_owner(job, event) else None

    def _run(self, job_id: str, run: int) -> _Seen | None:
        """Where a run is kept; None for an older run than the one that is."""
        seen = self._seen.get(job_id)
        if seen is not None and run < seen.run:
            return None
        if seen is None or run > seen.run:
            seen = self._seen[job_id] = _Seen(run)
        self._seen.move_to_end(job_id)
        self._make_room()
        return seen

    def _make_room(self) -> None:
        """Forget the longest unheard of, but no job that runs: what is shown of it would fall."""
        for _ in range(_TRIES):
            if len(self._seen) <= self._remembered:
                return
            job_id, seen = self._seen.popitem(last=False)
            if job_id in self._active:
                self._seen[job_id] = seen


def _is_owner(job: Job, event: StepProgressed | StepCaptioned) -> bool:
    """Whether the message comes from the attempt that the row says is running."""
    return job.run == event.run and any(
        step.spec.name == event.step
        and step.status == "active"
        and step.lease is not None
        and step.lease.id == event.lease_id
        for step in job.steps
    )

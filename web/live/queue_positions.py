"""Positions of jobs in the steps' queues. In memory, from the rows."""

from bisect import bisect_left, insort
from typing import NamedTuple

from schemas.jobs import JOB_ENDED, PRIORITIES, Job, Step
from web.readmodel.changelog import is_queued

#: Sort key within a queue: rank of the priority, time of the request, job id.
_Rank = tuple[int, float, str]


class QueuedJob(NamedTuple):
    """A job that waits for an executor."""

    job_id: str
    asset_id: str
    owner: str | None


class Queues:
    """The queue of each step. Changed on the event loop only; `position` may be called in any thread."""

    def __init__(self) -> None:
        self._queues: dict[str, list[_Rank]] = {}
        self._jobs: dict[str, QueuedJob] = {}
        self._changed: set[str] = set()
        #: Steps whose queue is paused. Replaced, never changed.
        self.paused: frozenset[str] = frozenset()
        #: Rank of a job by step, by job id.
        self._ranks: dict[str, dict[str, _Rank]] = {}

    def update(self, job: Job) -> None:
        """Take over the current row of a job."""
        known, ranks = self._ranks.pop(job.id, {}), _ranks_of(job)
        for step, rank in known.items():
            if ranks.get(step) != rank:
                self._remove(step, rank)
        for step, rank in ranks.items():
            if known.get(step) != rank:
                insort(self._queues.setdefault(step, []), rank)
                self._changed.add(step)
        if ranks:
            self._ranks[job.id] = ranks
            self._jobs[job.id] = QueuedJob(job.id, job.asset_id, job.owner)
        else:
            self._jobs.pop(job.id, None)

    def forget(self, job_id: str) -> None:
        """Remove a deleted job."""
        self._jobs.pop(job_id, None)
        for step, rank in self._ranks.pop(job_id, {}).items():
            self._remove(step, rank)

    def clear(self) -> None:
        """Remove everything: all rows are read again."""
        self._queues.clear()
        self._ranks.clear()
        self._jobs.clear()
        self._changed.clear()
        self.paused = frozenset()

    def pause(self, step: str, *, paused: bool) -> bool:
        """Note that the step's queue is paused, or resumed; whether that is a change."""
        before, self.paused = self.paused, self.paused | {step} if paused else self.paused - {step}
        return before != self.paused

    def is_held(self, step: Step) -> bool:
        """Whether the step has yet to start and its queue is paused: its start cannot be estimated."""
        return step.spec.name in self.paused and step.status in ("waiting", "delayed")

    def position(self, job_id: str, step: str) -> int | None:
        """Position of the job in the step's queue, from 1, among the jobs of all owners. None when it is not queued."""
        rank = self._ranks.get(job_id, {}).get(step)
        return None if rank is None else bisect_left(self._queues[step], rank) + 1

    def take_changed(self) -> set[str]:
        """Steps whose queue has changed since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def steps(self) -> set[str]:
        """Steps with queued jobs."""
        return {step for step, queue in self._queues.items() if queue}

    def first(self, step: str, most: int) -> list[QueuedJob]:
        """The first jobs of the step's queue, at most `most`, in order."""
        return [self._jobs[job_id] for _, _, job_id in self._queues.get(step, [])[:most]]

    def _remove(self, step: str, rank: _Rank) -> None:
        queue = self._queues[step]
        index = bisect_left(queue, rank)
        if index < len(queue) and queue[index] == rank:
            del queue[index]
            self._changed.add(step)


def _ranks_of(job: Job) -> dict[str, _Rank]:
    if job.status in JOB_ENDED:
        return {}
    priority = PRIORITIES.index(job.priority)
    return {step.spec.name: (priority, step.requested_at or 0.0, job.id) for step in job.steps if is_queued(step)}

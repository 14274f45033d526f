"""Who waits for an executor, and who came first: a step's place in its queue. In memory, from the rows."""

from bisect import bisect_left, insort
from typing import NamedTuple

from schemas.jobs import JOB_ENDED, PRIORITIES, Job, Step
from web.readmodel.changelog import is_queued

#: Rank of its priority, when it was asked for, and the job's id.
_Place = tuple[int, float, str]


class Queued(NamedTuple):
    """A job that waits for an executor."""

    job_id: str
    asset_id: str
    owner: str | None


class Queues:
    """The queue of each step. Changed on the event loop only; `position` may be read in any thread."""

    def __init__(self) -> None:
        self._queues: dict[str, list[_Place]] = {}
        #: Who waits, by job.
        self._waiting: dict[str, Queued] = {}
        self._changed: set[str] = set()
        #: Steps whose queue is paused. Replaced, never changed.
        self.paused: frozenset[str] = frozenset()
        #: Where a job stands now, by step.
        self._places: dict[str, dict[str, _Place]] = {}

    def watch(self, job: Job) -> None:
        """Learn how the job stands now."""
        rank = PRIORITIES.index(job.priority)
        waiting = (
            {}
            if job.status in JOB_ENDED
            else {s.spec.name: (rank, s.requested_at or 0.0, job.id) for s in job.steps if is_queued(s)}
        )
        known = self._places.pop(job.id, {})
        for step, place in known.items():
            if waiting.get(step) != place:
                self._remove(step, place)
        for step, place in waiting.items():
            if known.get(step) != place:
                insort(self._queues.setdefault(step, []), place)
                self._changed.add(step)
        if waiting:
            self._places[job.id] = waiting
            self._waiting[job.id] = Queued(job.id, job.asset_id, job.owner)
        else:
            self._waiting.pop(job.id, None)

    def forget(self, job_id: str) -> None:
        """The job was deleted."""
        self._waiting.pop(job_id, None)
        for step, place in self._places.pop(job_id, {}).items():
            self._remove(step, place)

    def clear(self) -> None:
        """Everything was rebuilt from another log."""
        self._queues.clear()
        self._places.clear()
        self._waiting.clear()
        self._changed.clear()
        self.paused = frozenset()

    def pause(self, step: str, *, paused: bool) -> bool:
        """Note that the step's queue is paused, or resumed; whether that is a change."""
        before, self.paused = self.paused, self.paused | {step} if paused else self.paused - {step}
        return before != self.paused

    def is_held(self, step: Step) -> bool:
        """Whether the step has yet to start and its queue is paused: nobody knows when it will."""
        return step.spec.name in self.paused and step.status in ("waiting", "delayed")

    def position(self, job_id: str, step: str) -> int | None:
        """From 1: how many of all owners' requests for this step, itself included, must go before it is its turn.
        None when it does not wait for an executor.
        """
        place = self._places.get(job_id, {}).get(step)
        return None if place is None else bisect_left(self._queues[step], place) + 1

    def take_changed(self) -> set[str]:
        """Steps whose queue has changed since this was last asked."""
        changed, self._changed = self._changed, set()
        return changed

    def steps(self) -> set[str]:
        """Steps that somebody waits for."""
        return {step for step, queue in self._queues.items() if queue}

    def first(self, step: str, most: int) -> list[Queued]:
        """Who waits for the step, in order; at most so many."""
        return [self._waiting[job_id] for _, _, job_id in self._queues.get(step, [])[:most]]

    def _remove(self, step: str, place: _Place) -> None:
        queue = self._queues[step]
        index = bisect_left(queue, place)
        if index < len(queue) and queue[index] == place:
            del queue[index]
            self._changed.add(step)

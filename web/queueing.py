"""Who waits for an executor, and who came first: a step's place in its queue. In memory, from the rows."""

from bisect import bisect_left, insort

from schemas.jobs import JOB_ENDED, Job
from web.changelog import is_queued

#: When it was asked for, and the job's id.
_Place = tuple[float, str]


class Queues:
    """The queue of each step. Changed on the event loop only; `position` may be read in any thread."""

    def __init__(self) -> None:
        self._queues: dict[str, list[_Place]] = {}
        #: Where a job stands now, by step.
        self._places: dict[str, dict[str, _Place]] = {}

    def watch(self, job: Job) -> None:
        """Learn how the job stands now."""
        waiting = (
            {}
            if job.status in JOB_ENDED
            else {s.spec.name: (s.requested_at or 0.0, job.id) for s in job.steps if is_queued(s)}
        )
        known = self._places.pop(job.id, {})
        for step, place in known.items():
            if waiting.get(step) != place:
                self._remove(step, place)
        for step, place in waiting.items():
            if known.get(step) != place:
                insort(self._queues.setdefault(step, []), place)
        if waiting:
            self._places[job.id] = waiting

    def forget(self, job_id: str) -> None:
        """The job was deleted."""
        for step, place in self._places.pop(job_id, {}).items():
            self._remove(step, place)

    def clear(self) -> None:
        """Everything was rebuilt from another log."""
        self._queues.clear()
        self._places.clear()

    def position(self, job_id: str, step: str) -> int | None:
        """From 1: how many of all owners' requests for this step, itself included, must go before it is its turn.
        None when it does not wait for an executor.
        """
        place = self._places.get(job_id, {}).get(step)
        return None if place is None else bisect_left(self._queues[step], place) + 1

    def _remove(self, step: str, place: _Place) -> None:
        queue = self._queues[step]
        index = bisect_left(queue, place)
        if index < len(queue) and queue[index] == place:
            del queue[index]

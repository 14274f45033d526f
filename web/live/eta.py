"""Estimates of how long steps take: from the durations of past runs, in proportion to the work. In memory.

The work of a video step is its source pixels x duration: twice the size or twice the length is twice the work. For
audio steps it is the duration.
"""

import statistics

from cachetools import FIFOCache

from schemas.jobs import Job, Step
from tables.workload import work_of

#: Latest runs of a step that the estimate is based on.
_RUNS = 50


class EtaEstimator:
    """Seconds per unit of work, by step. Changed on the event loop only; `remaining_s` may be called in any thread."""

    def __init__(self) -> None:
        #: By step: seconds per unit, by job and run.
        self._runs: dict[str, FIFOCache[tuple[str, int], float]] = {}
        self._typical: dict[str, float] = {}

    def learn(self, job: Job) -> None:
        """Learn from the completed steps of a job."""
        for step in job.steps:
            took_s, work = _took_s(step), work_of(job, step.spec.name)
            if took_s is not None and work is not None:
                self._add(step.spec.name, (job.id, step.run), took_s / work)

    def remaining_s(self, job: Job, step: Step, progress: float) -> float | None:
        """Seconds until the step is done, without the wait for an executor; `progress`: 0-1.

        None without past runs of the step, or while its work is not known.
        """
        return self.duration_s(step.spec.name, work_of(job, step.spec.name), 1.0 - progress)

    def duration_s(self, step: str, work: float | None, share: float = 1.0) -> float | None:
        """Seconds that a share of the step takes; None as above."""
        typical = self._typical.get(step)
        return None if typical is None or work is None else round(typical * work * share, 1)

    def clear(self) -> None:
        """Forget all runs: all rows are read again."""
        self._runs.clear()
        self._typical.clear()

    def _add(self, step: str, run: tuple[str, int], unit_s: float) -> None:
        runs = self._runs.setdefault(step, FIFOCache(_RUNS))
        if run not in runs:
            runs[run] = unit_s
            self._typical[step] = statistics.median(runs.values())


def _took_s(step: Step) -> float | None:
    """Duration of a step that completed at its first attempt: pauses between attempts say nothing about the work."""
    if step.status != "completed" or step.attempt != 1 or step.started_at is None or step.finished_at is None:
        return None
    return max(step.finished_at - step.started_at, 0.0)

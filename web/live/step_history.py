"""The steps of the last hour by minute: how many completed and failed, and how long they took. In memory."""

import random
import statistics
from collections.abc import Callable, Sequence

import msgspec

from schemas.jobs import Job, Step

MINUTES = 60
#: Durations of one step and minute that the percentiles are of; further ones replace random ones of these.
_SAMPLE = 100


class Minute(msgspec.Struct):
    """Steps of one kind that ended within a minute."""

    completed: int = 0
    failed: int = 0
    #: Durations of a random sample of those that completed.
    took_s: list[float] = msgspec.field(default_factory=list)

    def add(self, took_s: float, position: Callable[[int], int]) -> None:
        """Count a completed step. `position`: a random position below that number, for reservoir sampling.

        Source: Vitter, Random Sampling with a Reservoir (1985), algorithm R.
        """
        self.completed += 1
        if len(self.took_s) < _SAMPLE:
            self.took_s.append(took_s)
        elif (at := position(self.completed)) < _SAMPLE:
            self.took_s[at] = took_s


class StepHistory:
    """Ended steps since this replica has started, for the last hour. Changed on the event loop only."""

    def __init__(self) -> None:
        #: By step, by minute since the epoch.
        self._minutes: dict[str, dict[int, Minute]] = {}
        self._random = random.Random(0)  # noqa: S311  a sample, no secret

    def learn(self, job: Job) -> None:
        """Count the steps that ended with this row: the first one that has their end."""
        for step in job.steps:
            if step.finished_at is not None and step.finished_at == job.updated_at:
                self._count(step, step.finished_at)

    def of(self, step: str, now: float) -> list[Minute]:
        """The last hour's minutes, the current one last."""
        minutes, current = self._minutes.get(step, {}), int(now // 60)
        return [minutes.get(minute) or Minute() for minute in range(current - MINUTES + 1, current + 1)]

    def steps(self) -> list[str]:
        """Steps that ended, by name."""
        return sorted(self._minutes)

    def clear(self) -> None:
        """Forget everything: all rows are read again."""
        self._minutes.clear()

    def _count(self, step: Step, at: float) -> None:
        if step.status not in ("completed", "failed"):
            return
        minutes = self._minutes.setdefault(step.spec.name, {})
        minute = minutes.setdefault(int(at // 60), Minute())
        if step.status == "failed":
            minute.failed += 1
        elif step.started_at is not None:
            minute.add(max(at - step.started_at, 0.0), self._random.randrange)
        for old in sorted(minutes)[:-MINUTES]:
            del minutes[old]


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which this share (0-1) of the values lies; None without values."""
    if len(values) < 2:
        return values[0] if values else None
    return round(statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1], 3)

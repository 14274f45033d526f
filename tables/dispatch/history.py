"""How long attempts take: the median of the last ones of the same step, per unit of what there was to do. In memory."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping

#: Latest attempts of a step that count.
_REMEMBERED = 51
_LEAST_SIZE = 1e-6
#: Seconds per unit of size (see ReadyStep) of heavy steps, until one was seen: without them the first voice memo would
#: wait behind the first film. Source: tests/simulation/recorded/steps.json, rounded up.
PRIORS_S = {"transcode": 1e-6, "transcribe": 0.2, "embed": 0.02}


class _Pace:
    """The last values, in the order in which they came and sorted."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque()
        self._sorted: list[float] = []

    def learn(self, value: float) -> None:
        if len(self._latest) == _REMEMBERED:
            del self._sorted[bisect_left(self._sorted, self._latest.popleft())]
        self._latest.append(value)
        insort(self._sorted, value)

    @property
    def median(self) -> float:
        return self._sorted[len(self._sorted) // 2]


class History:
    """Seconds of work by step. `priors_s`: seconds per unit of size, until a step has been seen."""

    def __init__(self, priors_s: Mapping[str, float] = PRIORS_S) -> None:
        self._priors_s = priors_s
        self._unit_s: dict[str, _Pace] = {}
        self._took_s: dict[str, _Pace] = {}

    def learn(self, step: str, size: float | None, took_s: float) -> None:
        """An attempt of the step was completed; `size`: in the units of ReadyStep."""
        self._took_s.setdefault(step, _Pace()).learn(took_s)
        if size is not None:
            self._unit_s.setdefault(step, _Pace()).learn(took_s / max(size, _LEAST_SIZE))

    def expected_s(self, step: str, size: float | None) -> float | None:
        """Seconds that an attempt of this size will take; None where nothing is known to go by."""
        if size is None:
            return None
        pace = self._unit_s.get(step)
        unit_s = pace.median if pace is not None else self._priors_s.get(step)
        return unit_s * size if unit_s is not None else None

    def typical_s(self, step: str) -> float | None:
        """Seconds that an attempt takes, whatever its size; None before the first one."""
        pace = self._took_s.get(step)
        return pace.median if pace is not None else None

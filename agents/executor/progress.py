"""Progress of an attempt, and when it is reported."""

from collections.abc import Mapping

#: Smallest progress, and time since the start, from which the remaining time is estimated.
_ETA_PROGRESS, _ETA_AFTER_S = 0.02, 2.0


class Progress:
    """Progress of one attempt, 0-1; it never falls. Times are monotonic seconds."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._started_at: float | None = None
        self._sent_at = float("-inf")
        self._is_unsent = False
        self.value = 0.0
        self.parts: dict[str, float] = {}

    def begin(self, now: float) -> None:
        """The work starts: the remaining time is estimated from here."""
        self._started_at = now

    def note(self, value: float, parts: Mapping[str, float]) -> None:
        """Apply a report of the processor. A value that is lower than before, or NaN, is ignored."""
        self.value = _risen(self.value, value)
        for name, part in parts.items():
            self.parts[name] = _risen(self.parts.get(name, 0.0), part)
        self._is_unsent = True

    def due(self, now: float) -> bool:
        """Whether there is unsent progress, and the interval since the last event is over."""
        return self._is_unsent and now - self._sent_at >= self._interval_s

    def sent(self, now: float) -> None:
        """An event was sent."""
        self._is_unsent, self._sent_at = False, now

    def eta_s(self, now: float) -> float | None:
        """Remaining seconds at the speed so far; None while it is too early to estimate."""
        if self._started_at is None or self.value < _ETA_PROGRESS:
            return None
        elapsed_s = now - self._started_at
        return round(elapsed_s * (1 - self.value) / self.value, 1) if elapsed_s >= _ETA_AFTER_S else None


def _risen(before: float, now: float) -> float:
    return min(now, 1.0) if now > before else before  # no comparison with NaN is true

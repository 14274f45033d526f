"""What is known of an attempt's progress, and when it is worth saying."""

from collections.abc import Mapping

#: Ground for a guess of the time left: this much was seen, over this long.
_ETA_PROGRESS, _ETA_AFTER_S = 0.02, 2.0


class Progress:
    """Progress of one attempt, 0-1; it never falls. Times are monotonic seconds."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._began_at: float | None = None
        self._said_at = float("-inf")
        self._news = False
        self.value = 0.0
        self.parts: dict[str, float] = {}

    def begin(self, now: float) -> None:
        """The work starts now: the time left is guessed from here."""
        self._began_at = now

    def note(self, value: float, parts: Mapping[str, float]) -> None:
        """Take in what the processor reports; whatever would fall or is no number changes nothing."""
        self.value = _risen(self.value, value)
        for name, part in parts.items():
            self.parts[name] = _risen(self.parts.get(name, 0.0), part)
        self._news = True

    def due(self, now: float) -> bool:
        """Whether there is news, and the last message is long enough ago."""
        return self._news and now - self._said_at >= self._interval_s

    def said(self, now: float) -> None:
        """A message has just left."""
        self._news, self._said_at = False, now

    def eta_s(self, now: float) -> float | None:
        """Seconds left at the pace so far; None without ground for a guess."""
        if self._began_at is None or self.value < _ETA_PROGRESS:
            return None
        elapsed_s = now - self._began_at
        return round(elapsed_s * (1 - self.value) / self.value, 1) if elapsed_s >= _ETA_AFTER_S else None


def _risen(before: float, now: float) -> float:
    return min(now, 1.0) if now > before else before  # a NaN is above nothing

"""What time it is, by the log: what its records say, and a stopwatch since. No wall clock of ours has a part in it.

The broker dates every record. Rows carry those dates, so a fold of the log gives the same rows whoever folds it, and a
control whose own clock is wrong decides as any other.
"""

import time
from collections.abc import Callable

#: Over so many seconds every record must have been older than we thought, before time is set back: a backlog is being
#: read, or the broker's clock was wrong.
_WINDOW_S = 30.0
#: A step ahead that no stopwatch explains, seconds: the log went on while nobody read it.
JUMP_S = 1.0


class LogTime:
    """Seconds since the epoch. Zero until the first record or row was seen."""

    def __init__(self, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self._stopwatch = stopwatch
        self._ahead = -stopwatch()
        self._least_lead = float("inf")
        self._window_end = stopwatch() + _WINDOW_S

    def now(self) -> float:
        """The log's time."""
        return self._stopwatch() + self._ahead

    def saw(self, at: float) -> bool:
        """A record of that date was read, or a row of it. Whether time jumped: what ran by it deserves a grace."""
        lead = self.now() - at
        if lead < 0:
            self._ahead -= lead
        self._least_lead = min(self._least_lead, max(lead, 0.0))
        if self._stopwatch() >= self._window_end:
            self._ahead -= self._least_lead
            self._least_lead, self._window_end = float("inf"), self._stopwatch() + _WINDOW_S
        return lead < -JUMP_S

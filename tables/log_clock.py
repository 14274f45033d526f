"""The log's clock: the timestamp of the latest record, and the time since then by a monotonic clock.

The broker dates every record, and rows carry these timestamps. So every fold of the log gives the same rows, and a
wrong wall clock does not affect control.
"""

import time
from collections.abc import Callable

#: The clock is set back after this many seconds in which every record was older than the clock: the broker's clock was
#: ahead, or a backlog is read.
_WINDOW_S = 30.0
#: Seconds that a record may be ahead of the clock. More is a jump: records were written while none were read.
JUMP_S = 1.0


class LogClock:
    """Seconds since the epoch; 0 until the first record or row is observed."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._offset_s = -monotonic()
        self._least_lead = float("inf")
        self._window_end = monotonic() + _WINDOW_S

    def now(self) -> float:
        """The log's time."""
        return self._monotonic() + self._offset_s

    def observe(self, at: float) -> bool:
        """Set the clock by a timestamp of a record or row. Returns whether it jumped: leases need a grace period."""
        lead = self.now() - at
        if lead < 0:
            self._offset_s -= lead
        self._least_lead = min(self._least_lead, max(lead, 0.0))
        if self._monotonic() >= self._window_end:
            self._offset_s -= self._least_lead
            self._least_lead, self._window_end = float("inf"), self._monotonic() + _WINDOW_S
        return lead < -JUMP_S

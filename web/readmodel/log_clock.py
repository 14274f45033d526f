"""The log's time for this replica: what is old is decided by the broker's clock, never by this machine's.

The broker dates every record that it takes. Once a minute this replica writes a small one and learns the time from the
broker's answer; in between a stopwatch goes on, which no clock setting moves.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from aiokafka.errors import KafkaError

from web.http.problems import Problem, unavailable

log = logging.getLogger("kinolog.web")

#: Between measurements, and after one that failed.
_EVERY_S, _AGAIN_S = 60.0, 0.25
#: A difference between this machine's clock and the broker's that an operator must know of.
_ALARM_S = 5.0

#: Writes a record; returns the date that the broker gave it, seconds since the epoch.
Dated = Callable[[], Awaitable[float]]


class LogClock:
    """Seconds since the epoch by the broker. Unknown until it was measured once."""

    def __init__(self, dated: Dated, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self._dated, self._stopwatch = dated, stopwatch
        self._ahead: float | None = None
        self._measured = asyncio.Event()
        #: Seconds that this machine's clock is ahead of the broker's; 0 until that is known.
        self.skew_s = 0.0

    @property
    def known(self) -> bool:
        """Whether the log's time is known."""
        return self._ahead is not None

    def now(self) -> float:
        """The log's time, or a moment before. Raises Problem (503) while it is not known."""
        if self._ahead is None:
            raise unavailable("broker-unavailable", "the log's time is not known yet; nothing was changed", 2)
        return self._stopwatch() + self._ahead

    def now_or_none(self) -> float | None:
        """The log's time; None while it is not known."""
        return None if self._ahead is None else self._stopwatch() + self._ahead

    def earlier(self) -> float:
        """The log's time or this machine's, whichever is earlier: files have dates of a machine, and what is new by
        either clock is not old. Raises Problem (503) while the log's time is not known.
        """
        return min(self.now(), time.time())

    async def within(self, timeout_s: float) -> float | None:
        """The log's time, waited for; None where it is not known in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._measured.wait()
        except TimeoutError:
            return None
        return self.now()

    async def run(self) -> None:
        """Measure again and again until cancelled."""
        while True:
            try:
                await self.measure()
            except (KafkaError, OSError, TimeoutError, Problem):  # whoever writes tells of a broker that is away
                await asyncio.sleep(_AGAIN_S)
            else:
                await asyncio.sleep(_EVERY_S)

    async def measure(self) -> None:
        """Learn the log's time now. Raises Problem, KafkaError."""
        sent_at = time.time()
        at = await self._dated()
        answered_at = time.time()
        self._ahead = at - self._stopwatch()  # the answer took a while: never later than the broker's own
        self._measured.set()
        # The date lies between sending and answer: only what is beyond both is a difference.
        self.skew_s = sent_at - at if sent_at > at else min(answered_at - at, 0.0)
        if abs(self.skew_s) > _ALARM_S:
            log.warning("this machine's clock differs from the broker's", extra={"skew_s": round(self.skew_s, 1)})

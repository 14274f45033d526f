"""The log's time: ages are measured by the broker's clock, never by this machine's.

The broker timestamps every record. Once a minute this replica writes a small record and reads the time from the
broker's response; in between it counts on with a monotonic clock, which no clock setting moves.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from aiokafka.errors import KafkaError

from streams.kafka.clock_skew import ALARM_S, skew
from web.http.problems import Problem, unavailable

log = logging.getLogger("kinolog.web")

#: Interval between measurements, and after a failed one.
_EVERY_S, _RETRY_S = 60.0, 0.25
#: Longest wait of a request for the first measurement.
_FIRST_S = 5.0

#: Writes a record; returns the broker's timestamp, seconds since the epoch.
WriteTimestamp = Callable[[], Awaitable[float]]


class LogClock:
    """The broker's time, seconds since the epoch. Unknown until the first measurement."""

    def __init__(self, write_timestamp: WriteTimestamp, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self._write_timestamp, self._stopwatch = write_timestamp, stopwatch
        self._offset_s: float | None = None
        self._measured = asyncio.Event()
        #: Seconds that this machine's clock is ahead of the broker's; 0 until it is known.
        self.skew_s = 0.0

    @property
    def known(self) -> bool:
        """Whether the log's time is known."""
        return self._offset_s is not None

    def now(self) -> float:
        """The log's time, never ahead of the broker's. Raises Problem (503) while it is not known."""
        if self._offset_s is None:
            raise unavailable("broker-unavailable", "the log's time is not known yet: try again", 2)
        return self._stopwatch() + self._offset_s

    async def soon(self) -> float:
        """The log's time, waited for in the first moments after a start. Raises Problem (503)."""
        await self.within(_FIRST_S)
        return self.now()

    def now_or_none(self) -> float | None:
        """The log's time; None while it is not known."""
        return None if self._offset_s is None else self._stopwatch() + self._offset_s

    def best(self) -> float:
        """The log's time; this machine's until it is known. For what is shown, not for what is deleted."""
        known = self.now_or_none()
        return time.time() if known is None else known

    def earlier(self) -> float:
        """The log's time or this machine's, whichever is earlier. Raises Problem (503) while the log's is not known.

        For ages of files, whose timestamps are a machine's: a file that is new by either clock is not old.
        """
        return min(self.now(), time.time())

    async def within(self, timeout_s: float) -> float | None:
        """The log's time, waited for; None on timeout."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._measured.wait()
        except TimeoutError:
            return None
        return self.now()

    async def run(self) -> None:
        """Measure periodically until cancelled."""
        while True:
            try:
                await self.measure()
            except (KafkaError, OSError, TimeoutError, Problem):  # writers report an unreachable broker
                await asyncio.sleep(_RETRY_S)
            else:
                await asyncio.sleep(_EVERY_S)

    async def measure(self) -> None:
        """Measure the log's time. Raises Problem, KafkaError."""
        sent_at = time.time()
        at = await self._write_timestamp()
        received_at = time.time()
        self._offset_s = at - self._stopwatch()  # the response took a while: never ahead of the broker's clock
        self._measured.set()
        self.skew_s = skew(sent_at, at, received_at)
        if abs(self.skew_s) > ALARM_S:
            log.warning("this machine's clock differs from the broker's", extra={"skew_s": round(self.skew_s, 1)})

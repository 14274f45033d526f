"""Compares this machine's clock with the broker's, by the timestamps of records that are delivered anyway."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

#: Difference that is logged as a warning, and how often, seconds.
ALARM_S, _REPEAT_S = 5.0, 60.0
#: Source: Kafka protocol guide, record batch attributes, timestampType.
_LOG_APPEND_TIME = 1


class SkewAlarm:
    """Logs a warning while the clocks differ, once a minute."""

    def __init__(self, clock: Callable[[], float] = time.time, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._stopwatch = clock, stopwatch
        self._silent_until = 0.0

    def watch(self, delivery: "asyncio.Future[Any]") -> None:
        """Compare once the record, which was just sent, is delivered."""
        sent_at = self._clock()
        delivery.add_done_callback(lambda done: self._compare(sent_at, done))

    def _compare(self, sent_at: float, delivery: "asyncio.Future[Any]") -> None:
        if delivery.cancelled() or delivery.exception() is not None:
            return
        record, now = delivery.result(), self._stopwatch()
        if getattr(record, "timestamp_type", None) != _LOG_APPEND_TIME or now < self._silent_until:
            return
        skew_s = skew(sent_at, record.timestamp / 1000, self._clock())
        if abs(skew_s) > ALARM_S:
            self._silent_until = now + _REPEAT_S
            log.warning("this machine's clock differs from the broker's", extra={"skew_s": round(skew_s, 1)})


def skew(sent_at: float, at: float, received_at: float) -> float:
    """Seconds that this machine's clock is ahead of the broker's, which dated a record `at`.

    That lies between sending and response: only what is outside of both is a difference.
    """
    return sent_at - at if sent_at > at else min(received_at - at, 0.0)

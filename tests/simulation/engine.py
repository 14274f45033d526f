"""Virtual time: what happens next, in order of time, without waiting for it."""

import math
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any

#: Producer to consumer over one broker, seconds: median and 99th percentile of 600 messages.
#: Source: a prototype on the embedded broker (linger 0, acks all), 1.5 and 3.3 ms.
DELAY_P50_S, DELAY_P99_S = 0.0015, 0.0033
_Z99 = 2.326
_SAMPLES = 4096


class Engine:
    """Calls in order of their time; of equal times in the order in which they were asked for."""

    def __init__(self) -> None:
        self.now = 0.0
        self._calls: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._number = 0
        self._running = False

    def at(self, when: float, call: Callable[..., object], *args: Any) -> None:
        """Call `call(*args)` at `when`; at once when that is over."""
        self._number += 1
        heappush(self._calls, (max(when, self.now), self._number, call, args))

    def run(self, until: float = math.inf) -> None:
        """Let time pass until `stop`, `until`, or nothing is left to do."""
        self._running = True
        calls = self._calls
        while self._running and calls and calls[0][0] <= until:
            self.now, _, call, args = heappop(calls)
            call(*args)

    def stop(self) -> None:
        """Let `run` return after the current call."""
        self._running = False


class Network:
    """Delays of messages: log-normal through the measured quantiles."""

    def __init__(self, random: Random, p50_s: float = DELAY_P50_S, p99_s: float = DELAY_P99_S) -> None:
        mu, sigma = math.log(p50_s), math.log(p99_s / p50_s) / _Z99
        self._delays = [random.lognormvariate(mu, sigma) for _ in range(_SAMPLES)]
        self._next = 0

    def delay_s(self) -> float:
        """Seconds that the next message takes."""
        self._next = (self._next + 1) % _SAMPLES
        return self._delays[self._next]

"""Shares of the interpreter: how long a caller's rows are rendered without a pause while others call.

Readers' threads and the event loop take turns at one interpreter, so long lists of one caller delay the others'
requests even while threads are free. Measured: 100 connections of one caller that read all that is dear raised
another's p99 from 6 to 22 ms; with these shares it is 7 ms.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from cachetools import FIFOCache

T = TypeVar("T")

#: While others call, a caller reads for one part in so many of the time,
_PARTS = 10
#: beyond this much, seconds: some two lists of 500 jobs that nobody has read before.
_BURST_S = 0.05
#: Longest time without a pause, and longest pause, seconds.
_TURN_S, _LONGEST_PAUSE_S = 0.001, 0.05
#: Callers whose use is remembered; the first is forgotten, which gives it a new burst.
_REMEMBERED = 10_000


class ReadShares:
    """What each caller has used of its share. Threads may use it."""

    def __init__(self, is_shared: Callable[[str], bool]) -> None:
        """`is_shared`: whether others call, too, so that this caller has no more than its share."""
        self._is_shared = is_shared
        self._lock = threading.Lock()
        #: Time read beyond the share, and when it was that much; seconds.
        self._excess: FIFOCache[str, tuple[float, float]] = FIFOCache(_REMEMBERED)

    def charge(self, caller: str, took_s: float, now: float) -> bool:
        """Note that the caller has read for so long. Whether its share is used up."""
        with self._lock:
            excess, at = self._excess.get(caller, (0.0, now))
            excess = max(excess - (now - at) / _PARTS, 0.0) + took_s
            self._excess[caller] = excess, now
        return excess > _BURST_S

    def must_pause(self, caller: str, took_s: float, now: float) -> bool:
        """Note the same. Whether its share is used up while others call."""
        return self.charge(caller, took_s, now) and self._is_shared(caller)

    @contextmanager
    def reading(self, caller: str) -> Iterator[None]:
        """In this thread, until it ends, rows are those of the caller. `""`: of the process itself, which has all."""
        if not caller:
            yield
            return
        _this_thread.turn = turn = _Turn(self, caller)
        try:
            yield
        finally:
            _this_thread.turn = None
            turn.end()


class _Turn:
    """Reading since the last pause."""

    def __init__(self, shares: ReadShares, caller: str) -> None:
        self._shares, self._caller = shares, caller
        self._since = time.perf_counter()

    def pause_if_due(self) -> None:
        """Wait if the turn is over and the share is used up."""
        now = time.perf_counter()
        took_s = now - self._since
        if took_s < _TURN_S:
            return
        if self._shares.must_pause(self._caller, took_s, now):
            time.sleep(min(took_s * (_PARTS - 1), _LONGEST_PAUSE_S))
        self._since = time.perf_counter()

    def end(self) -> None:
        """Charge the rest of the turn to the caller."""
        now = time.perf_counter()
        self._shares.charge(self._caller, now - self._since, now)


_this_thread = threading.local()


def in_shares(rows: Iterable[T]) -> Iterator[T]:
    """The rows, with a pause of a reader's thread between them when its caller has used up its share."""
    turn: _Turn | None = getattr(_this_thread, "turn", None)
    if turn is None:
        yield from rows
        return
    for row in rows:
        turn.pause_if_due()
        yield row

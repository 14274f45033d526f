"""The watchdog: a thread that exits the process when it hangs. The supervisor restarts it; the log restores its state.

A probe returns the progress of the process; the same progress for too long is a hang. Time in which the watchdog itself
did not run (SIGSTOP, a suspended machine) does not count.
"""

import asyncio
import faulthandler
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from streams.process.exit import EX_HUNG, end_process

_TICK_S = 1.0

#: The progress, to be compared with the last one; None: idle.
Probe = Callable[[], Hashable | None]


@dataclass
class Watch:
    """A kind of hang."""

    #: Its description in the log line.
    what: str
    probe: Probe
    #: Seconds without progress that are a hang.
    limit_s: float
    _progress: Hashable | None = None
    _unchanged_s: float = 0.0

    def hangs(self, elapsed_s: float) -> bool:
        """Check, `elapsed_s` after the last check: whether there was no progress for too long."""
        progress = self._probe()
        if progress is None or progress != self._progress:
            self._progress, self._unchanged_s = progress, 0.0
            return False
        self._unchanged_s += elapsed_s
        return self._unchanged_s > self.limit_s

    def _probe(self) -> Hashable | None:
        try:
            return self.probe()
        except Exception:  # noqa: BLE001 - another thread is changing the state, so there is progress
            return None


class LoopBeat:
    """A probe of the event loop: it makes no progress while the loop is blocked."""

    def __init__(self) -> None:
        self._beats = 0

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self._beats += 1
            await asyncio.sleep(_TICK_S / 2)

    def __call__(self) -> Hashable | None:
        """The number of beats; None before the first."""
        return self._beats or None


class Watchdog:
    """Checks all watches once a second, in a daemon thread."""

    def __init__(
        self, watches: Iterable[Watch], end: Callable[..., Any] = end_process, tick_s: float = _TICK_S
    ) -> None:
        self._watches, self._end, self._tick_s = list(watches), end, tick_s

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(self._tick_s)
            for watch in self._watches:
                if watch.hangs(self._tick_s):
                    faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
                    self._end(EX_HUNG, f"process hangs: {watch.what}", limit_s=watch.limit_s)
                    return

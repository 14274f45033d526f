"""The watchdog: a thread that ends the process when it hangs. Whoever supervises starts it again, the log repairs it.

A probe says what the process stands at; standing at the same for too long is a hang. Time in which the watchdog itself
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

#: What is stood at, to be compared with what it was; None: nothing is waited for.
Probe = Callable[[], Hashable | None]


@dataclass
class Watch:
    """One class of hang."""

    #: What hangs, as the log line says it.
    what: str
    probe: Probe
    #: Seconds of standing still that are a hang.
    limit_s: float
    _stood_at: Hashable | None = None
    _stood_s: float = 0.0

    def hangs(self, elapsed_s: float) -> bool:
        """Look again, `elapsed_s` after the last look: whether it has stood still for too long."""
        found = self._look()
        if found is None or found != self._stood_at:
            self._stood_at, self._stood_s = found, 0.0
            return False
        self._stood_s += elapsed_s
        return self._stood_s > self.limit_s

    def _look(self) -> Hashable | None:
        try:
            return self.probe()
        except Exception:  # noqa: BLE001 - what it looks at is being changed by another thread: so it moves
            return None


class LoopBeat:
    """Shows that the event loop runs: the probe stands still while it is blocked."""

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
    """Looks at all watches once a second, from a thread of its own, which ends with the process."""

    def __init__(
        self, watches: Iterable[Watch], end: Callable[..., Any] = end_process, tick_s: float = _TICK_S
    ) -> None:
        self._watches, self._end, self._tick_s = list(watches), end, tick_s

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(self._tick_s)
            for watch in self._watches:
                if watch.hangs(self._tick_s):
                    faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
                    self._end(EX_HUNG, f"the process hangs: {watch.what}", limit_s=watch.limit_s)
                    return

"""Restarts a part of the system when it exits, with growing pauses."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from streams.broker.jvm import BrokerError

log = logging.getLogger("kinolog.up")

#: Exit code of a part with invalid settings: a restart would not help.
BAD_SETUP = 2
#: Exits in a row, without a healthy minute between them, that count as a crash loop.
LOOP_ENDS = 4
#: Age of the last exit after which a crash loop is over: longer than the longest pause and a healthy minute.
_RECENTLY_S = 90.0


class Part(Protocol):
    """A restartable part: the embedded broker, or a child process."""

    @property
    def pid(self) -> int:
        """Process id of the latest start."""

    async def start(self) -> None:
        """Start or restart it."""

    async def wait_ready(self) -> None:
        """Return when it is ready."""

    async def wait(self) -> int:
        """Its exit code, once it has exited."""


class StartFailed(Exception):
    """The system could not be started, with the exit code of `kinolog up`."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Backoff:
    """Pauses between starts: 0.2 s, doubling to 10 s, reset after a healthy minute."""

    def __init__(self, first_s: float = 0.2, longest_s: float = 10.0, healthy_s: float = 60.0) -> None:
        self._first_s, self._longest_s, self._healthy_s = first_s, longest_s, healthy_s
        #: Exits in a row.
        self.ends = 0

    def pause_s(self, healthy_s: float) -> float:
        """Pause after an exit, seconds; the part had been ready for `healthy_s`."""
        self.ends = 1 if healthy_s >= self._healthy_s else self.ends + 1
        return min(self._first_s * 2.0 ** min(self.ends - 1, 16), self._longest_s)


class ExitHistory(NamedTuple):
    """Unexpected exits of a part."""

    #: Number of exits since the start of the system.
    ends: int
    #: Number of latest exits without a healthy minute between them.
    in_a_row: int
    #: The last exit, in words.
    how: str
    #: Time of the last exit, seconds since the epoch.
    at: float


class RestartedPart:
    """A part that is restarted while `run` runs. `on_start` and `on_end` are called after each start and exit."""

    def __init__(
        self,
        name: str,
        part: Part,
        *,
        backoff: Backoff | None = None,
        on_start: Callable[[], None] = lambda: None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.part = part
        #: Whether it was started at least once.
        self.started = False
        #: Set when it was ready for the first time.
        self.was_ready = asyncio.Event()
        self._backoff = backoff or Backoff()
        self._on_start, self._on_end = on_start, on_end
        #: Its unexpected exits; None if there were none.
        self.ends: ExitHistory | None = None
        self._ready_at: float | None = None

    async def run(self) -> None:
        """Start and restart the part until cancelled. Raises StartFailed when the first start fails.

        Cancelling does not stop the part.
        """
        while True:
            self._ready_at = None
            ending = await self._live()
            pause_s = self._backoff.pause_s(self._healthy_s())
            self.ends = ExitHistory((self.ends.ends if self.ends else 0) + 1, self._backoff.ends, ending, time.time())
            self._report(ending, pause_s)
            self._on_end()
            await asyncio.sleep(pause_s)

    def _healthy_s(self) -> float:
        """How long the part was ready before its last exit."""
        return 0.0 if self._ready_at is None else time.monotonic() - self._ready_at

    async def _live(self) -> str:
        """Start the part and wait for its exit; returns how it exited."""
        try:
            await self.part.start()
        except (BrokerError, OSError) as error:
            if not self.was_ready.is_set():
                raise StartFailed(f"Cannot start {self.name}: {error}", BAD_SETUP) from error
            return f"cannot be started: {error}"
        self.started = True
        self._on_start()
        code = await self._until_end()
        self._require_hope(code)
        return ended_how(code)

    async def _until_end(self) -> int:
        readiness = asyncio.ensure_future(self._note_readiness())
        try:
            code = await self.part.wait()
            await asyncio.sleep(0)  # a part that was ready before it exited counts as ready
            return code
        finally:
            readiness.cancel()

    async def _note_readiness(self) -> None:
        await self.part.wait_ready()
        log.info("ready", extra={"part": self.name, "pid": self.part.pid})
        self._ready_at = time.monotonic()
        self.was_ready.set()

    def _require_hope(self, code: int) -> None:
        """Raise StartFailed for a part that was never ready and keeps exiting."""
        if self.was_ready.is_set():
            return
        if code == BAD_SETUP:
            raise StartFailed(f"{self.name} cannot run with these settings; see its log lines above.", BAD_SETUP)
        if self._backoff.ends + 1 >= LOOP_ENDS:
            how = f"it {ended_how(code)}, {LOOP_ENDS} times in a row"
            raise StartFailed(f"{self.name} never became ready: {how}; see its log lines above.")

    def _report(self, how: str, pause_s: float) -> None:
        fields = {"part": self.name, "how": how, "restart_in_s": pause_s, "exits_in_a_row": self._backoff.ends}
        if self._backoff.ends >= LOOP_ENDS:
            log.error("CRASH LOOP: exits again and again, see its log lines above", extra=fields)
        else:
            log.warning("exited, restarting", extra=fields)


def is_looping(ends: ExitHistory, now: float) -> bool:
    """Whether a part is in a crash loop."""
    return ends.in_a_row >= LOOP_ENDS and now - ends.at < _RECENTLY_S


def ended_how(code: int) -> str:
    """An exit code in words."""
    return f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"

"""Keeps one part of the system running: starts it, starts it again when it ends, slower the more often it does."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from streams.broker.jvm import BrokerError

log = logging.getLogger("kinolog.up")

#: Exit code of a part that cannot run as it is set up: starting it again would not help.
BAD_SETUP = 2
#: Ends in a row, without a healthy minute between, that are called a crash loop.
LOOP_ENDS = 4
#: An end that is longer ago than this was the last one: longer than the longest pause and a healthy minute.
_RECENTLY_S = 90.0


class Part(Protocol):
    """What can be kept running: the embedded broker, or a child process."""

    @property
    def pid(self) -> int:
        """Process id of the newest start."""

    async def start(self) -> None:
        """Start it, again if need be."""

    async def wait_ready(self) -> None:
        """Return when it is of use."""

    async def wait(self) -> int:
        """Its exit code, once it has ended."""


class StartFailed(Exception):
    """The system could not be started; the text says why, `exit_code` what `kinolog up` ends with."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Backoff:
    """Pauses between starts: 0.2 s, doubling to 10 s, from the beginning again after a healthy minute."""

    def __init__(self, first_s: float = 0.2, longest_s: float = 10.0, healthy_s: float = 60.0) -> None:
        self._first_s, self._longest_s, self._healthy_s = first_s, longest_s, healthy_s
        #: Ends in a row.
        self.ends = 0

    def pause_s(self, healthy_s: float) -> float:
        """How long to wait after an end, the part having been ready for `healthy_s`."""
        self.ends = 1 if healthy_s >= self._healthy_s else self.ends + 1
        return min(self._first_s * 2.0 ** min(self.ends - 1, 16), self._longest_s)


class ExitHistory(NamedTuple):
    """How often a part has ended by itself, for whoever wants to know whether all is well."""

    #: Since the beginning.
    ends: int
    #: Without a healthy minute between.
    in_a_row: int
    #: The last time, in words.
    how: str
    #: When that was, seconds since the epoch.
    at: float


class RestartedPart:
    """Keeps one part running for as long as `run` does. `on_start` and `on_end` are told of each start and end."""

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
        #: Whether there was a first start.
        self.started = False
        #: Set at the first readiness, for good.
        self.was_ready = asyncio.Event()
        self._backoff = backoff or Backoff()
        self._on_start, self._on_end = on_start, on_end
        #: How it ended so far; None while it never did.
        self.ends: ExitHistory | None = None
        self._ready_at: float | None = None

    async def run(self) -> None:
        """Start the part and start it again for ever. Raises StartFailed when it cannot even start the first time.

        Cancelled, it leaves the part as it is: whoever cancels stops it.
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
        """How long the part was of use in the life that has just ended."""
        return 0.0 if self._ready_at is None else time.monotonic() - self._ready_at

    async def _live(self) -> str:
        """One life of the part, from start to end; how it ended."""
        try:
            await self.part.start()
        except (BrokerError, OSError) as error:
            if not self.was_ready.is_set():
                raise StartFailed(f"{self.name} cannot be started: {error}", BAD_SETUP) from error
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
            await asyncio.sleep(0)  # a part that was ready before it ended counts as ready
            return code
        finally:
            readiness.cancel()

    async def _note_readiness(self) -> None:
        await self.part.wait_ready()
        log.info("ready", extra={"part": self.name, "pid": self.part.pid})
        self._ready_at = time.monotonic()
        self.was_ready.set()

    def _require_hope(self, code: int) -> None:
        """A part that was never ready and keeps ending will not come by itself; people must look."""
        if self.was_ready.is_set():
            return
        if code == BAD_SETUP:
            raise StartFailed(f"{self.name} cannot run with these settings; its lines above say why", BAD_SETUP)
        if self._backoff.ends + 1 >= LOOP_ENDS:
            how = f"it {ended_how(code)}, {LOOP_ENDS} times in a row"
            raise StartFailed(f"{self.name} never became ready: {how}; its lines above say why")

    def _report(self, how: str, pause_s: float) -> None:
        fields = {"part": self.name, "how": how, "restart_in_s": pause_s, "ends_in_a_row": self._backoff.ends}
        if self._backoff.ends >= LOOP_ENDS:
            log.error("CRASH LOOP: it ends again and again; its lines above say why", extra=fields)
        else:
            log.warning("ended, starting it again", extra=fields)


def is_looping(ends: ExitHistory, now: float) -> bool:
    """Whether a part ends again and again, and did so a moment ago."""
    return ends.in_a_row >= LOOP_ENDS and now - ends.at < _RECENTLY_S


def ended_how(code: int) -> str:
    """An exit code in words."""
    return f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"

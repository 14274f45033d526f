"""The tiny supervisor of the chaos runs: starts what died again, as systemd would."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from processors.tools.child_process import tethered

#: As in the units of deploy/systemd.
RESTART_S = 1.0
#: A process that was asked to end is given this long.
_GRACE_S = 40.0


class Service:
    """One process that is kept running until `retire`."""

    def __init__(self, name: str, argv: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._argv, self._environ, self._log = list(argv), dict(environ), log
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        #: Exit codes, in order; negative: the signal that killed it.
        self.ends: list[int] = []
        #: Seconds from its next end to a new start.
        self.hold_s = RESTART_S
        #: Whoever has it keeps the process from being started again.
        self.held = asyncio.Lock()

    async def start(self) -> None:
        """Start it, and again whenever it ends."""
        await self._start()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def _start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *tethered(self._argv),
                env=self._environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            self.ends.append(await self._process.wait())
            hold_s, self.hold_s = self.hold_s, RESTART_S
            await asyncio.sleep(hold_s)
            async with self.held:
                await self._start()

    @property
    def pid(self) -> int:
        """Of the newest start."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has started and not ended."""
        return self._process is not None and self._process.returncode is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def freeze(self, seconds: float) -> None:
        """SIGSTOP and, later, SIGCONT to the same process."""
        pid = self.pid
        self.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    async def retire(self) -> int | None:
        """SIGTERM, and no new start; the exit code, or None when it had to be killed."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process is None:
            return None
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self._process.wait(), _GRACE_S)
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self._process.wait()
            return None

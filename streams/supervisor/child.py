"""One of kinolog's own processes as a child: started tethered to us, ready when it says so, stopped in bounded time."""

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from processors.tools.child_process import tethered
from processors.tools.cpu_priority import stand_back
from streams.supervisor.log_relay import Relay


class Child:
    """A child process that can be started again after it has ended. `nice`: see processors.tools.cpu_priority."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        environ: Mapping[str, str],
        *,
        log_format: str,
        out: BinaryIO,
        nice: int = 0,
    ) -> None:
        self.name, self._nice = name, nice
        self._argv, self._environ = argv, environ
        self._log_format, self._out = log_format, out
        self._process: asyncio.subprocess.Process | None = None
        self._relay: Relay | None = None
        self._word: ReadySocket | None = None

    @property
    def pid(self) -> int:
        """Process id of the newest start. Raises RuntimeError before the first."""
        return self._started.pid

    async def start(self) -> None:
        """Start the process. Raises OSError when it cannot be."""
        self._close()
        self._word = ReadySocket()
        self._relay = Relay(self.name, self._log_format, self._out)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *tethered(self._argv),
                env={**self._environ, "NOTIFY_SOCKET": self._word.address},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=self._relay.write_fd,
                stderr=self._relay.write_fd,
                start_new_session=True,  # Ctrl-C comes to us alone, and we stop in order
            )
        finally:
            self._relay.started()
        stand_back(self._process.pid, self._nice)

    async def wait_ready(self) -> None:
        """Return when the process has said that it is ready."""
        if self._word is not None:
            await self._word.heard()

    async def wait(self) -> int:
        """The exit code once it has ended; negative: the signal that killed it."""
        code = await self._started.wait()
        self._close()
        return code

    async def stop(self, grace_s: float) -> None:
        """End it: SIGTERM, and SIGKILL after `grace_s`. Harmless to repeat, also before the first start."""
        if self._process is None:
            return
        self._send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            self.kill()
            await self._process.wait()
        self._close()

    def kill(self) -> None:
        """SIGKILL, now."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def _close(self) -> None:
        if self._relay is not None:
            self._relay.close()
        if self._word is not None:
            self._word.close()
        self._relay = self._word = None

    @property
    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process


class ReadySocket:
    """Our side of one notification socket, within one event loop. Source: sd_notify(3)."""

    def __init__(self) -> None:
        # Abstract: no file is left behind, and no data dir is too long for it (a path ends at 107 bytes, unix(7)).
        self.address = f"@kinolog-{secrets.token_hex(16)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind("\0" + self.address[1:])
        self._heard = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._listen)

    async def heard(self) -> None:
        """Return when READY=1 has come."""
        await self._heard.wait()

    def close(self) -> None:
        """Listen no more."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _listen(self) -> None:
        if b"READY=1" in self._socket.recv(4096).split(b"\n"):
            self._heard.set()


def kinolog_argv(*arguments: str) -> list[str]:
    """`kinolog …` in this very interpreter; a folder named `web` in the working directory is not taken for ours."""
    return [sys.executable, "-P", "-m", "streams.cli", *arguments]


def python_path(environ: Mapping[str, str]) -> dict[str, str]:
    """What lets `kinolog_argv` find us when we run from a checkout that is not installed."""
    root = Path(__file__).resolve().parents[2]
    if root.name in ("site-packages", "dist-packages"):
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(root), environ.get("PYTHONPATH")]))}

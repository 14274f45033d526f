"""A kinolog process as a child: it dies with its parent, notifies when it is ready, and stops in bounded time."""

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
from processors.tools.cpu_priority import lower_priority
from streams.supervisor.log_relay import Relay


class Child:
    """A child process that can be restarted after it has exited. `nice`: see processors.tools.cpu_priority."""

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
        self._ready_socket: ReadySocket | None = None

    @property
    def pid(self) -> int:
        """Process id of the latest start. Raises RuntimeError before the first."""
        return self._started.pid

    async def start(self) -> None:
        """Start the process. Raises OSError."""
        self._close()
        self._ready_socket = ReadySocket()
        self._relay = Relay(self.name, self._log_format, self._out)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *tethered(self._argv),
                env={**self._environ, "NOTIFY_SOCKET": self._ready_socket.address},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=self._relay.write_fd,
                stderr=self._relay.write_fd,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which stops the children in order
            )
        finally:
            self._relay.started()
        lower_priority(self._process.pid, self._nice)

    async def wait_ready(self) -> None:
        """Return when the process has notified that it is ready."""
        if self._ready_socket is not None:
            await self._ready_socket.wait()

    async def wait(self) -> int:
        """The exit code, once it has exited; negative: the signal that killed it."""
        code = await self._started.wait()
        self._close()
        return code

    async def stop(self, grace_s: float) -> None:
        """Stop it: SIGTERM, and SIGKILL after `grace_s`. Harmless to repeat, also before the first start."""
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
        """Send SIGKILL."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def _close(self) -> None:
        if self._relay is not None:
            self._relay.close()
        if self._ready_socket is not None:
            self._ready_socket.close()
        self._relay = self._ready_socket = None

    @property
    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process


class ReadySocket:
    """The receiving side of a notification socket. Bound to one event loop. Source: sd_notify(3)."""

    def __init__(self) -> None:
        # Abstract: leaves no file, and has no limit on the data directory's length (a path has 107 bytes, unix(7)).
        self.address = f"@kinolog-{secrets.token_hex(16)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind("\0" + self.address[1:])
        self._ready = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._listen)

    async def wait(self) -> None:
        """Return when READY=1 has been received."""
        await self._ready.wait()

    def close(self) -> None:
        """Close the socket."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _listen(self) -> None:
        if b"READY=1" in self._socket.recv(4096).split(b"\n"):
            self._ready.set()


def kinolog_argv(*arguments: str) -> list[str]:
    """Arguments that run `kinolog …` in this interpreter; `-P` ignores a folder `web` in the working directory."""
    return [sys.executable, "-P", "-m", "streams.cli", *arguments]


def python_path(environ: Mapping[str, str]) -> dict[str, str]:
    """PYTHONPATH with which `kinolog_argv` finds a checkout that is not installed."""
    root = Path(__file__).resolve().parents[2]
    if root.name in ("site-packages", "dist-packages"):
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(root), environ.get("PYTHONPATH")]))}

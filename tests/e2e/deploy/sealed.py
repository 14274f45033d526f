"""Processes of a deployment on this machine: read-only root and working directory, user 10001, no other environment."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.deployments import CHECKOUT, Part

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc")


def sealed(part: Part, argv: Sequence[str], volumes: Path, environ: Mapping[str, str]) -> list[str]:
    """The command line that runs `argv` as `part` would run; as process 1 where it would be.

    /opt/kinolog is this checkout's environment. `volumes`: where the folders are that may
    be written. `environ`: where its neighbours are, in place of what the file has.
    """
    python = str(Path(sys.prefix).resolve())
    return [
        *(
            "bwrap",
            "--die-with-parent",
            *([] if part.reaped else ["--as-pid-1"]),
            "--unshare-user",
            "--uid",
            "10001",
            "--gid",
            "10001",
        ),
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", part.hostname),
        *_read_only(*_SYSTEM),
        # A part of a container's /proc is covered, so that nobody in it may mount another one.
        *("--dev", "/dev", "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"),
        *_writable(part.volumes, volumes),
        *_read_only(sys.base_prefix, str(CHECKOUT), python),  # may lie below one of these
        *("--ro-bind", python, "/opt/kinolog"),
        *("--remount-ro", "/", "--chdir", "/", "--clearenv"),
        *(word for name, text in {**part.environ, **environ}.items() for word in ("--setenv", name, text)),
        *("--", *argv),
    ]


def _read_only(*paths: str) -> list[str]:
    return [word for path in paths for word in ("--ro-bind-try", path, path)]


def _writable(places: Mapping[str, str], volumes: Path) -> list[str]:
    for name in places.values():
        (volumes / name).mkdir(parents=True, exist_ok=True)
    return [word for target, name in places.items() for word in ("--bind", str(volumes / name), target)]


class _Running(NamedTuple):
    bwrap: "subprocess.Popen[bytes]"
    #: Process 1 within.
    first: int
    #: Whether that one is an init of bubblewrap's.
    reaped: bool

    @property
    def pid(self) -> int:
        """Of the part itself."""
        if not self.reaped:
            return self.first
        [pid] = [pid for pid, stat in _stats() if stat[2] == str(self.first) and stat[1] != "Z"]
        return pid


class Deployment:
    """The parts of one deployment; each is started once. `environ`: where their neighbours are."""

    def __init__(self, parts: Iterable[Part], folder: Path, environ: Mapping[str, str]) -> None:
        self.parts = {part.name: part for part in parts}
        self.environ = environ
        self._volumes, self._folder = folder / "volumes", folder
        self._running: dict[str, _Running] = {}

    def start(self, name: str, **environ: str) -> None:
        """Start a part; its output goes into a log."""
        part = self.parts[name]
        read_fd, write_fd = os.pipe()
        command = sealed(part, part.argv, self._volumes, {**self.environ, **environ})
        command[1:1] = ["--info-fd", str(write_fd)]
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, pass_fds=(write_fd,))
        os.close(write_fd)
        with os.fdopen(read_fd) as info:
            self._running[name] = _Running(process, json.load(info)["child-pid"], part.reaped)

    async def run(self, name: str, argv: Sequence[str], *options: str) -> "subprocess.CompletedProcess[str]":
        """Run a command where the part runs, to its end. `options`: further ones of bwrap."""
        command = sealed(self.parts[name], argv, self._volumes, self.environ)
        command[1:1] = options
        return await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=120, check=False
        )

    async def is_healthy(self, name: str) -> bool:
        """Whether the part's health check is content. Fails when the part has ended."""
        assert self._running[name].bwrap.poll() is None, f"{name} has ended:\n{self.log(name)}"
        return (await self.run(name, self.parts[name].health or ["true"])).returncode == 0

    def log(self, name: str) -> str:
        """Everything that the part has written so far."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def zombies(self, name: str) -> list[str]:
        """Children of the part that have ended and that it never waits for: a container has nobody else to do it."""
        return [" ".join(stat) for _, stat in _stats() if stat[1:3] == ["Z", str(self._running[name].pid)]]

    async def stop(self) -> dict[str, int]:
        """SIGTERM to every part; their exit codes."""
        for running in self._running.values():
            os.kill(running.pid, signal.SIGTERM)
        return {name: await asyncio.to_thread(one.bwrap.wait, 60) for name, one in self._running.items()}

    def kill(self) -> None:
        """End what is still there."""
        for running in self._running.values():
            running.bwrap.kill()
            running.bwrap.wait()


def _stats() -> Iterator[tuple[int, list[str]]]:
    """Process id, and name, state and parent of every process. Source: proc(5)."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it may end while we look
                name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
                yield int(folder.name), [name, *rest.split()[:2]]

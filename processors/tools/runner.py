"""Runs tools as child processes: sandboxed, limited, cancellable, always reaped."""

import asyncio
import logging
import math
import os
import shutil
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from processors.errors import OutOfCapacity, ProcessingError, SourceMissing, ToolFailed
from processors.tools import written_files
from processors.tools.cpu_priority import lower_priority
from processors.tools.failures import NO_DISK, failure, overdue, processor_time_s
from processors.tools.limits import Limits
from processors.tools.sandbox import (
    FileAccess,
    Isolation,
    ResourceLimits,
    Sandbox,
    can_read,
    filter_of,
    give_access,
    sandbox_argv,
)
from processors.tools.sandbox_choice import choose_sandbox

log = logging.getLogger(__name__)

#: Bytes of stderr that are kept.
STDERR_KEPT_BYTES = 64 * 1024
#: Time between SIGTERM and SIGKILL.
_GRACE_S = 1.0
#: Time to wait for the end of the pipes after SIGKILL.
_REAP_S = 5.0
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Command:
    """One run of a tool."""

    #: The tool's name and its arguments.
    argv: tuple[str, ...]
    access: FileAccess
    #: Time limit.
    timeout_s: float
    #: Number of threads; its CPU time is limited to the time limit times this.
    cpus: int = 1
    #: Niceness, 0-19: see processors.tools.cpu_priority.
    nice: int = 0


def ignore(chunk: bytes) -> None:
    """Discard stdout."""


@dataclass
class Runner:
    """Runs commands in the sandbox that the limits choose on this machine; it is detected once."""

    limits: Limits
    _sandbox: Sandbox | None = None
    #: Folder for sandbox trials, swept at the next start in case a trial survives. None: the system's temporary folder.
    trials: Path | None = None
    _detecting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def isolation(self) -> Isolation | None:
        """The isolation of the tools; None until it was detected."""
        return None if self._sandbox is None else self._sandbox.isolation

    async def sandbox(self) -> Sandbox:
        """The sandbox of this machine; the first call detects it. Raises NoSandbox, OSError."""
        async with self._detecting:
            if self._sandbox is None:
                self._sandbox = await choose_sandbox(self.limits.sandbox, self.trials)
            return self._sandbox

    async def readable(self, source: Path, scratch: Path) -> Path:
        """The source as a file that tools can read: itself, or a copy in `scratch` if its permissions forbid that.

        Raises SourceMissing, OutOfCapacity.
        """
        sandbox = await self.sandbox()
        try:
            if can_read(sandbox, source):
                return source
        except OSError as error:
            raise SourceMissing("The uploaded file no longer exists. Upload it again.", detail=str(error)) from error
        copy = scratch / "source"
        try:
            await asyncio.to_thread(shutil.copyfile, source, copy)
        except OSError as error:
            raise OutOfCapacity(NO_DISK, detail=str(error)) from error
        copy.chmod(0o644)
        return copy

    async def run(
        self,
        command: Command,
        on_stdout: Callable[[bytes], None] = ignore,
        on_stderr: Callable[[bytes], None] = ignore,
    ) -> str:
        """Run a tool and return the end of its stderr. Raises ProcessingError if it fails; cancelling kills it.

        Afterwards its folders hold plain files only, within the limits. The callbacks may raise ProcessingError.
        """
        sandbox = await self.sandbox()
        for folder in command.access.writes:
            give_access(sandbox, folder)
        stderr = bytearray()
        process = await self._start(sandbox, command)
        try:
            async with asyncio.timeout(command.timeout_s):
                await self._wait(process, command, _Output(on_stdout, on_stderr, stderr))
        except TimeoutError as error:
            raise self._overdue(command, process.pid, stderr) from error
        finally:
            await _end(process)
        if failed := failure(command.argv[0], process.returncode or 0, _text(stderr)):
            raise failed
        await asyncio.to_thread(written_files.check, command.access.writes, self.limits.tool_disk_bytes)
        return _text(stderr)

    @staticmethod
    def _overdue(command: Command, pid: int, stderr: bytearray) -> ProcessingError:
        computed_s = processor_time_s(pid)
        return overdue(command.argv[0], command.timeout_s, max(command.cpus, 1), computed_s, _text(stderr))

    async def _start(self, sandbox: Sandbox, command: Command) -> asyncio.subprocess.Process:
        with filter_of(sandbox) as fds:
            prefix = sandbox_argv(sandbox, _resource_limits(self.limits, command), command.access, *fds)
            process = await _spawn([*prefix, *command.argv], command.access.cwd, fds)
        lower_priority(process.pid, command.nice)
        return process

    async def _wait(self, process: asyncio.subprocess.Process, command: Command, output: "_Output") -> None:
        """Wait for the tool to exit. Raises ProcessingError when it writes too much, and what the callbacks raise."""
        reading = asyncio.ensure_future(_read_output(process, output))
        watching = asyncio.ensure_future(
            written_files.limit_exceeded(command.access.writes, self.limits.tool_disk_bytes)
        )
        try:
            await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                raise await watching
            await reading
        finally:
            for task in (reading, watching):
                task.cancel()
            await asyncio.gather(reading, watching, return_exceptions=True)


def _resource_limits(limits: Limits, command: Command) -> ResourceLimits:
    return ResourceLimits(
        memory_bytes=limits.tool_memory_bytes,
        cpu_s=math.ceil(command.timeout_s * max(command.cpus, 1)) + 1,
        file_bytes=limits.tool_file_bytes,
    )


async def _spawn(argv: list[str], cwd: Path, fds: tuple[int, ...]) -> asyncio.subprocess.Process:
    """Start the process. A cancellation waits for the start: asyncio would kill the sandbox and leave the tool."""
    starting = asyncio.ensure_future(_start(argv, cwd, fds))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _uncancelled(_end_started(starting))
        raise


async def _start(argv: list[str], cwd: Path, fds: tuple[int, ...]) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=cwd,
            # Tools need none of the environment, and it contains secrets.
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            start_new_session=True,
            pass_fds=fds,
        )
    except OSError as error:
        raise ToolFailed(f"{argv[0]} cannot be started on this machine. Is it installed?", detail=str(error)) from error


async def _end_started(starting: "asyncio.Future[asyncio.subprocess.Process]") -> None:
    with suppress(ToolFailed):
        await _end(await starting)


async def _uncancelled(work: Coroutine[Any, Any, None]) -> None:
    """Complete the work even if cancelled meanwhile; then raises CancelledError."""
    running = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        raise cancelled


class _Output(NamedTuple):
    """Receivers of a tool's output."""

    on_stdout: Callable[[bytes], None]
    on_stderr: Callable[[bytes], None]
    #: The end of stderr.
    stderr: bytearray

    def take_stderr(self, chunk: bytes) -> None:
        """Keep and pass on a part of stderr."""
        _keep_end(self.stderr, chunk)
        self.on_stderr(chunk)


async def _read_output(process: asyncio.subprocess.Process, output: _Output) -> None:
    """Read stdout and stderr until the tool has exited and its pipes are closed."""
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(process.stdout, output.on_stdout))
            group.create_task(_pump(process.stderr, output.take_stderr))
            group.create_task(process.wait())
    except ExceptionGroup as raised:  # by a callback
        raise raised.exceptions[0] from raised


async def _pump(stream: asyncio.StreamReader, on_chunk: Callable[[bytes], None]) -> None:
    while chunk := await stream.read(_CHUNK_BYTES):
        on_chunk(chunk)


def _keep_end(kept: bytearray, chunk: bytes) -> None:
    kept += chunk
    del kept[: max(0, len(kept) - STDERR_KEPT_BYTES)]


def _text(stderr: bytearray) -> str:
    return stderr.decode(errors="replace").strip()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the whole process group and wait until it is gone."""
    if not _ended(process):
        _signal(process, signal.SIGTERM)
        await _uncancelled(_reap(process))


def _ended(process: asyncio.subprocess.Process) -> bool:
    """Whether the child and all heirs of its pipes are gone; until then the process group id is not reused."""
    assert process.stdout is not None
    assert process.stderr is not None
    return process.returncode is not None and process.stdout.at_eof() and process.stderr.at_eof()


async def _reap(process: asyncio.subprocess.Process) -> None:
    kill = asyncio.get_running_loop().call_later(_GRACE_S, _signal, process, signal.SIGKILL)
    try:
        async with asyncio.timeout(_GRACE_S + _REAP_S):
            await _read_output(process, _Output(ignore, ignore, bytearray()))
    except TimeoutError:
        log.exception("killed tool does not exit", extra={"pid": process.pid})
    finally:
        kill.cancel()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # the group has exited meanwhile
        os.killpg(process.pid, number)

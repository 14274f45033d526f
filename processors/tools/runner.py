"""Runs a tool as a child: sandboxed, bounded, cancellable, always reaped."""

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
from typing import Any

from processors.errors import OutOfCapacity, ProcessingError, SourceMissing, ToolFailed
from processors.tools import written_files
from processors.tools.cpu_priority import stand_back
from processors.tools.failures import NO_DISK, failure, overdue, processor_time_s
from processors.tools.limits import Limits
from processors.tools.sandbox import (
    FileAccess,
    Isolation,
    ResourceLimits,
    Sandbox,
    detect,
    filter_of,
    give,
    may_read,
    sandbox_argv,
)

log = logging.getLogger(__name__)

#: Kept of what a tool says on stderr.
STDERR_KEPT_BYTES = 64 * 1024
#: From SIGTERM to SIGKILL.
_GRACE_S = 1.0
#: From SIGKILL to giving up on the pipes' end; the kernel has no reason to take longer.
_REAP_S = 5.0
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Command:
    """One run of a tool."""

    #: The tool's name and its arguments.
    argv: tuple[str, ...]
    reach: FileAccess
    #: Wall-clock limit.
    timeout_s: float
    #: Threads that it may use; its CPU time is bounded by as many times the wall-clock limit.
    cpus: int = 1
    #: How far it stands back behind other work, 0-19: see processors.tools.cpu_priority.
    nice: int = 0


def ignore(chunk: bytes) -> None:
    """Nobody reads what the tool writes on stdout."""


@dataclass
class Runner:
    """Runs commands in the best sandbox that the machine allows, found out at the first run."""

    limits: Limits
    _sandbox: Sandbox | None = None
    #: Where the sandbox is tried out: a place that is swept, for a trial may outlive us. None: the system's own.
    trials: Path | None = None
    _finding: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def sandbox(self) -> Sandbox:
        """How tools are confined here. The first call tries it out."""
        async with self._finding:
            if self._sandbox is None:
                self._sandbox = await detect(self.trials) if self.limits.sandbox else _unconfined()
                log.info("sandbox chosen", extra={"means": self._sandbox.means.value, "uid": self._sandbox.uid})
            return self._sandbox

    async def admit(self, source: Path, scratch: Path) -> Path:
        """The source as tools can read it: itself, or a copy in `scratch` where only we may read it."""
        sandbox = await self.sandbox()
        try:
            if may_read(sandbox, source):
                return source
        except OSError as error:
            raise SourceMissing("The uploaded file cannot be found any more.", detail=str(error)) from error
        copy = scratch / "source"
        try:
            await asyncio.to_thread(shutil.copyfile, source, copy)
        except OSError as error:
            raise OutOfCapacity(NO_DISK, detail=str(error)) from error
        copy.chmod(0o644)
        return copy

    async def run(self, command: Command, on_stdout: Callable[[bytes], None] = ignore) -> str:
        """What the tool said on stderr (its end). Raises ProcessingError when it fails; cancelling kills it.

        What it has written is plain files then, no more than is allowed. `on_stdout` may raise ProcessingError.
        """
        sandbox = await self.sandbox()
        for folder in command.reach.writes:
            give(sandbox, folder)
        said = bytearray()
        process = await self._begun(sandbox, command)
        try:
            async with asyncio.timeout(command.timeout_s):
                await self._attended(process, command, on_stdout, said)
        except TimeoutError as error:
            raise self._overdue(command, process.pid, said) from error
        finally:
            await _end(process)
        if failed := failure(command.argv[0], process.returncode or 0, _words(said)):
            raise failed
        await asyncio.to_thread(written_files.check, command.reach.writes, self.limits.tool_disk_bytes)
        return _words(said)

    @staticmethod
    def _overdue(command: Command, pid: int, said: bytearray) -> ProcessingError:
        computed_s = processor_time_s(pid)
        return overdue(command.argv[0], command.timeout_s, max(command.cpus, 1), computed_s, _words(said))

    async def _begun(self, sandbox: Sandbox, command: Command) -> asyncio.subprocess.Process:
        with filter_of(sandbox) as fds:
            prefix = sandbox_argv(sandbox, _bounds(self.limits, command), command.reach, *fds)
            process = await _spawn([*prefix, *command.argv], command.reach.cwd, fds)
        stand_back(process.pid, command.nice)
        return process

    async def _attended(
        self,
        process: asyncio.subprocess.Process,
        command: Command,
        on_stdout: Callable[[bytes], None],
        said: bytearray,
    ) -> None:
        """Return when the tool has ended. Raises InvalidMedia when it writes too much, and what `on_stdout` raises."""
        listening = asyncio.ensure_future(_listen(process, on_stdout, said))
        watching = asyncio.ensure_future(written_files.outgrown(command.reach.writes, self.limits.tool_disk_bytes))
        try:
            await asyncio.wait({listening, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                raise await watching
            await listening
        finally:
            for task in (listening, watching):
                task.cancel()
            await asyncio.gather(listening, watching, return_exceptions=True)


def _unconfined() -> Sandbox:
    log.warning("the sandbox is switched off: tools run with network and with our rights")
    return Sandbox(means=Isolation.BOUNDS)


def _bounds(limits: Limits, command: Command) -> ResourceLimits:
    return ResourceLimits(
        memory_bytes=limits.tool_memory_bytes,
        cpu_s=math.ceil(command.timeout_s * max(command.cpus, 1)) + 1,
        file_bytes=limits.tool_file_bytes,
    )


async def _spawn(argv: list[str], cwd: Path, fds: tuple[int, ...]) -> asyncio.subprocess.Process:
    """The started process. A cancel meanwhile must wait for it: asyncio would kill the sandbox and leave the tool."""
    starting = asyncio.ensure_future(_start(argv, cwd, fds))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _whole(_end_started(starting))
        raise


async def _start(argv: list[str], cwd: Path, fds: tuple[int, ...]) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=cwd,
            # Nothing of our environment is a tool's business, and some of it is secret.
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            start_new_session=True,
            pass_fds=fds,
        )
    except OSError as error:
        raise ToolFailed(f"{argv[0]} cannot be started on this machine.", detail=str(error)) from error


async def _end_started(starting: "asyncio.Future[asyncio.subprocess.Process]") -> None:
    with suppress(ToolFailed):
        await _end(await starting)


async def _whole(work: Coroutine[Any, Any, None]) -> None:
    """Does the work to its end; a cancel meanwhile changes only the outcome."""
    doing = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not doing.done():
        try:
            await asyncio.shield(doing)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        raise cancelled


async def _listen(process: asyncio.subprocess.Process, on_stdout: Callable[[bytes], None], said: bytearray) -> None:
    """Return when the tool has ended and nobody holds its pipes any more."""
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(process.stdout, on_stdout))
            group.create_task(_pump(process.stderr, lambda chunk: _keep_end(said, chunk)))
            group.create_task(process.wait())
    except ExceptionGroup as raised:  # by whoever takes the output
        raise raised.exceptions[0] from raised


async def _pump(stream: asyncio.StreamReader, take: Callable[[bytes], None]) -> None:
    while chunk := await stream.read(_CHUNK_BYTES):
        take(chunk)


def _keep_end(kept: bytearray, chunk: bytes) -> None:
    kept += chunk
    del kept[: max(0, len(kept) - STDERR_KEPT_BYTES)]


def _words(said: bytearray) -> str:
    return said.decode(errors="replace").strip()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the whole process group and wait until it is gone."""
    if not _ended(process):
        _signal(process, signal.SIGTERM)
        await _whole(_reap(process))


def _ended(process: asyncio.subprocess.Process) -> bool:
    """Whether the child and everything that inherited its pipes are gone; until then its group's id is not reused."""
    assert process.stdout is not None
    assert process.stderr is not None
    return process.returncode is not None and process.stdout.at_eof() and process.stderr.at_eof()


async def _reap(process: asyncio.subprocess.Process) -> None:
    kill = asyncio.get_running_loop().call_later(_GRACE_S, _signal, process, signal.SIGKILL)
    try:
        async with asyncio.timeout(_GRACE_S + _REAP_S):
            await _listen(process, ignore, bytearray())
    except TimeoutError:
        log.exception("a killed tool does not end", extra={"pid": process.pid})
    finally:
        kill.cancel()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # the group has ended meanwhile
        os.killpg(process.pid, number)

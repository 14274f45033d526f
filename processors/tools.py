"""Runs a tool as a child: sandboxed, bounded, cancellable, always reaped. Its failures are mapped here alone."""

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

from processors import leftovers
from processors.errors import (
    CorruptMedia,
    LimitExceeded,
    MediaTooLarge,
    OutOfCapacity,
    ProcessingError,
    SourceMissing,
    ToolFailed,
    ToolTimedOut,
    UnsupportedMedia,
)
from processors.limits import Limits
from processors.sandbox import Bounds, Means, Reach, Sandbox, detect, filter_of, give, may_read, sandbox_argv

log = logging.getLogger(__name__)

#: Kept of what a tool says on stderr.
STDERR_KEPT_BYTES = 64 * 1024
#: Handed on as an error's detail.
_DETAIL_CHARS = 4000
#: From SIGTERM to SIGKILL.
_GRACE_S = 1.0
#: From SIGKILL to giving up on the pipes' end; the kernel has no reason to take longer.
_REAP_S = 5.0
_CHUNK_BYTES = 64 * 1024
#: Share of the time that a tool had, times its threads, which makes it busy: CPUs are shared with others.
_BUSY_SHARE = 0.5
#: For what takes long and all CPUs: behind control, web and the broker.
NICE_HEAVY = 15
#: For what runs beside that.
NICE_LIGHT = 19
#: ffmpeg's exit code when more frames failed to decode than -max_error_rate allows. Source: ffmpeg(1), -max_error_rate.
_TOO_MANY_DECODE_ERRORS = 69

_BROKEN = "The file is damaged: part of it cannot be decoded. Export or upload it again."
_UNFIT = "The file holds pictures or sound that cannot be converted. Export or upload it again."
_NO_MEMORY = "The machine ran out of memory for this file; it will be tried again."
_NO_DISK = "The machine ran out of disk space; it will be tried again."
_TOO_MUCH_MEMORY = "The file needs more memory than a tool may use here."
_TOO_LONG_FILE = "An output grew beyond the largest file that a tool may write here."
_TOO_MUCH_CPU = "The work took more processor time than is allowed for media of this length."
_CRASHED = "The file makes the program that reads it crash. Export or upload it again."

#: What a tool's last words mean, the first match counts. Its exit code is 1 for all of them.
_SAID: tuple[tuple[str, type[ProcessingError], str], ...] = (
    ("No space left on device", OutOfCapacity, _NO_DISK),
    ("Disk quota exceeded", OutOfCapacity, _NO_DISK),
    ("File too large", LimitExceeded, _TOO_LONG_FILE),
    # ffmpeg calls that a lack of memory
    ("exceeds max_streams", MediaTooLarge, "The file has more tracks than can be read. Export it with fewer."),
    ("Cannot allocate memory", LimitExceeded, _TOO_MUCH_MEMORY),
    ("malloc of size", LimitExceeded, _TOO_MUCH_MEMORY),  # x264
    ("Invalid data found when processing input", CorruptMedia, _BROKEN),
    ("moov atom not found", CorruptMedia, _BROKEN),
    ("Error while processing the decoded data", CorruptMedia, _UNFIT),
    ("Error submitting", CorruptMedia, _UNFIT),  # … a packet to the decoder, audio or video frame to the encoder
    ("Decoder (codec", UnsupportedMedia, "A track of the file is in a codec that cannot be decoded here."),
)

#: What stands before a tool on its command line; it says its own name first when it fails.
_WRAPPERS = ("nice:", "choom:", "prlimit:", "bwrap:", "unshare:", "setpriv:", "sh:")
#: ffprobe only reads: it ends so when nothing can be made of the input, whatever its words.
_UNREADABLE = ("ffprobe", 1)

#: What the signal that ended a tool means, when it was not ours.
_KILLED: dict[int, tuple[type[ProcessingError], str]] = {
    signal.SIGKILL: (OutOfCapacity, _NO_MEMORY),
    signal.SIGXFSZ: (LimitExceeded, _TOO_LONG_FILE),
    signal.SIGXCPU: (LimitExceeded, _TOO_MUCH_CPU),
    signal.SIGSEGV: (CorruptMedia, _CRASHED),
    signal.SIGABRT: (CorruptMedia, _CRASHED),
    signal.SIGFPE: (CorruptMedia, _CRASHED),
}


@dataclass(frozen=True, kw_only=True)
class Command:
    """One run of a tool."""

    #: The tool's name and its arguments.
    argv: tuple[str, ...]
    reach: Reach
    #: Wall-clock limit.
    timeout_s: float
    #: Threads that it may use; its CPU time is bounded by as many times the wall-clock limit.
    cpus: int = 1
    #: How far it stands back behind other work, 0-19. Source: nice(1).
    nice: int = 0


def ignore(chunk: bytes) -> None:
    """Nobody reads what the tool writes on stdout."""


@dataclass
class Runner:
    """Runs commands in the best sandbox that the machine allows, found out at the first run."""

    limits: Limits
    _sandbox: Sandbox | None = None
    _finding: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def sandbox(self) -> Sandbox:
        """How tools are confined here. The first call tries it out."""
        async with self._finding:
            if self._sandbox is None:
                self._sandbox = await detect() if self.limits.sandbox else _unconfined()
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
            raise OutOfCapacity(_NO_DISK, detail=str(error)) from error
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
            raise _overdue(command, processor_time_s(process.pid), _words(said)) from error
        finally:
            await _end(process)
        if failed := failure(command.argv[0], process.returncode or 0, _words(said)):
            raise failed
        await asyncio.to_thread(leftovers.check, command.reach.writes, self.limits.tool_disk_bytes)
        return _words(said)

    async def _begun(self, sandbox: Sandbox, command: Command) -> asyncio.subprocess.Process:
        nice = ["nice", "-n", str(command.nice)] if command.nice else []
        with filter_of(sandbox) as fds:
            prefix = sandbox_argv(sandbox, _bounds(self.limits, command), command.reach, *fds)
            process = await _spawn([*nice, *prefix, *command.argv], command.reach.cwd, fds)
        _stand_back(process.pid, command.nice)
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
        watching = asyncio.ensure_future(leftovers.outgrown(command.reach.writes, self.limits.tool_disk_bytes))
        try:
            await asyncio.wait({listening, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                raise await watching
            await listening
        finally:
            for task in (listening, watching):
                task.cancel()
            await asyncio.gather(listening, watching, return_exceptions=True)


def failure(tool: str, returncode: int, words: str) -> ProcessingError | None:
    """The error that an exit code and the last words of a tool stand for; None when it succeeded."""
    if returncode == 0:
        return None
    detail = f"{tool} ended with {returncode}: {words[-_DETAIL_CHARS:]}"
    if returncode == _TOO_MANY_DECODE_ERRORS:
        return CorruptMedia(_BROKEN, detail=detail)
    # A shell, and bwrap for its child, report a signal as 128 + its number.
    if ended := _KILLED.get(-returncode if returncode < 0 else returncode - 128):
        return ended[0](ended[1], detail=detail)
    for needle, kind, message in _SAID:
        if needle in words:
            return kind(message, detail=detail)
    if (tool, returncode) == _UNREADABLE and not words.startswith(_WRAPPERS):
        return CorruptMedia(_BROKEN, detail=detail)
    return ToolFailed(f"{tool} failed unexpectedly; it will be tried again.", detail=detail)


def _overdue(command: Command, busy_s: float, words: str) -> ProcessingError:
    """A tool that was computing all the time will do so again; one that was waiting may have better luck."""
    tool, limit_s = command.argv[0], command.timeout_s
    if busy_s >= limit_s * max(command.cpus, 1) * _BUSY_SHARE:
        return LimitExceeded(_TOO_MUCH_CPU, detail=f"{tool} computed for {busy_s:.0f} of {limit_s:.0f} s: {words}")
    return ToolTimedOut(f"{tool} did not finish within {limit_s:.0f} s.", detail=words)


def processor_time_s(session: int) -> float:
    """What the living processes of a session, and the children that they have waited for, have had of the CPUs."""
    return sum(_ticks(folder, session) for folder in Path("/proc").glob("[0-9]*")) / os.sysconf("SC_CLK_TCK")


def _ticks(folder: Path, session: int) -> int:
    """Source: proc(5), stat: the fields behind the name, which may itself have spaces and brackets."""
    try:
        fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0
    return sum(map(int, fields[11:15])) if int(fields[3]) == session else 0


def _unconfined() -> Sandbox:
    log.warning("the sandbox is switched off: tools run with network and with our rights")
    return Sandbox(means=Means.BOUNDS)


def _bounds(limits: Limits, command: Command) -> Bounds:
    return Bounds(
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


def _stand_back(pid: int, nice: int) -> None:
    """A tool has a session of its own, and with autogroups niceness counts within a session. Source: sched(7)."""
    if nice:
        with suppress(OSError):  # this kernel has none, or the tool has ended
            Path(f"/proc/{pid}/autogroup").write_text(str(nice))


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

"""Failures of tools: maps exit codes, stderr and timeouts to errors. The only place that does."""

import os
import signal
from pathlib import Path

from processors.errors import (
    CorruptMedia,
    LimitExceeded,
    MediaTooLarge,
    OutOfCapacity,
    OutputInvalid,
    ProcessingError,
    ToolFailed,
    ToolMisbehaved,
    ToolTimedOut,
    UnsupportedMedia,
)

#: Length of an error's detail.
_DETAIL_CHARS = 4000
#: A tool was busy if it used this share of its time limit times its threads: CPUs are shared.
_BUSY_SHARE = 0.5
#: Less is not significant: the kernel counts processor time in ticks of 10 ms, and a starting tool is busy.
_BUSY_MIN_S = 1.0

_BROKEN = "The file is damaged: part of it cannot be decoded. Export it again, or upload it again."
#: Filters and encoders get what kinolog asks for: that they fail is no fault of the file.
_UNCONVERTED = "the decoded video or audio cannot be converted."
_NO_MEMORY = "The machine ran out of memory. The step will be retried."
NO_DISK = "The machine ran out of disk space. The step will be retried."
_TOO_MUCH_MEMORY = "The file needs more memory than the limit for one tool."
_TOO_LONG_FILE = "An output file exceeds the size limit for one tool."
_TOO_MUCH_CPU = "Processing exceeds the processor time limit for media of this duration."
_CRASHED = "it crashed."

#: Errors by text in stderr; the first match applies. The exit code is 1 for all of them.
_BY_STDERR: tuple[tuple[str, type[ProcessingError], str], ...] = (
    ("No space left on device", OutOfCapacity, NO_DISK),
    ("Disk quota exceeded", OutOfCapacity, NO_DISK),
    ("File too large", LimitExceeded, _TOO_LONG_FILE),
    # before the next: ffmpeg reports this as a lack of memory
    ("exceeds max_streams", MediaTooLarge, "The file has too many tracks. Export it with fewer."),
    ("Cannot allocate memory", LimitExceeded, _TOO_MUCH_MEMORY),
    ("malloc of size", LimitExceeded, _TOO_MUCH_MEMORY),  # x264
    # before the next: every damaged packet on the way is reported, too
    ("Error while processing the decoded data", OutputInvalid, _UNCONVERTED),
    ("frame to the encoder", OutputInvalid, _UNCONVERTED),
    ("Invalid data found when processing input", CorruptMedia, _BROKEN),
    ("moov atom not found", CorruptMedia, _BROKEN),
    ("Error submitting packet to decoder", CorruptMedia, _BROKEN),
    ("Decoder (codec", UnsupportedMedia, "A track of the file has a codec that cannot be decoded."),
)

#: Commands in front of a tool on its command line; their errors begin with their name.
_WRAPPERS = ("choom:", "prlimit:", "bwrap:", "unshare:", "setpriv:", "sh:")
#: ffprobe only reads: with this exit code the input is unreadable, whatever stderr is.
_UNREADABLE = ("ffprobe", 1)

#: Errors by the signal that ended a tool, unless kinolog sent it.
_BY_SIGNAL: dict[int, tuple[type[ProcessingError], str]] = {
    signal.SIGKILL: (OutOfCapacity, _NO_MEMORY),
    signal.SIGXFSZ: (LimitExceeded, _TOO_LONG_FILE),
    signal.SIGXCPU: (LimitExceeded, _TOO_MUCH_CPU),
    signal.SIGSEGV: (ToolMisbehaved, _CRASHED),
    signal.SIGABRT: (ToolMisbehaved, _CRASHED),
    signal.SIGFPE: (ToolMisbehaved, _CRASHED),
}


def failure(tool: str, returncode: int, stderr: str) -> ProcessingError | None:
    """The error for an exit code and the end of stderr; None for success."""
    if returncode == 0:
        return None
    detail = f"{tool} exited with {returncode}: {stderr[-_DETAIL_CHARS:]}"
    # A shell, and bwrap for its child, report a signal as 128 + its number.
    if ended := _BY_SIGNAL.get(-returncode if returncode < 0 else returncode - 128):
        return ended[0](ended[1], detail=detail)
    for needle, kind, message in _BY_STDERR:
        if needle in stderr:
            return kind(message, detail=detail)
    if (tool, returncode) == _UNREADABLE and not stderr.startswith(_WRAPPERS):
        return CorruptMedia(_BROKEN, detail=detail)
    return ToolFailed(f"{tool} failed. The step will be retried.", detail=detail)


def overdue(tool: str, limit_s: float, threads: int, computed_s: float, stderr: str) -> ProcessingError:
    """The error of a tool that exceeded its time limit; `computed_s`: its processor time, over all threads.

    A tool that was busy would be busy again; one that was waiting may succeed in a retry.
    """
    if computed_s >= max(_BUSY_MIN_S, _BUSY_SHARE * limit_s * threads):
        return LimitExceeded(
            _TOO_MUCH_CPU, detail=f"{tool} computed {computed_s:.0f} s within {limit_s:.0f} s: {stderr}"
        )
    return ToolTimedOut(f"{tool} did not finish within {limit_s:.0f} s.", detail=stderr)


def processor_time_s(session: int) -> float:
    """Processor time of the live processes of a session and of their reaped children."""
    return sum(_ticks(folder, session) for folder in Path("/proc").glob("[0-9]*")) / os.sysconf("SC_CLK_TCK")


def _ticks(folder: Path, session: int) -> int:
    """Source: proc(5), stat: the fields behind the name, which may itself have spaces and brackets."""
    try:
        fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:  # it has exited
        return 0
    return sum(map(int, fields[11:15])) if int(fields[3]) == session else 0

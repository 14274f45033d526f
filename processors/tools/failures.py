"""What it means when a tool fails: its exit code, its last words and its time, as errors. Mapped here alone."""

import os
import signal
from pathlib import Path

from processors.errors import (
    CorruptMedia,
    LimitExceeded,
    MediaTooLarge,
    OutOfCapacity,
    ProcessingError,
    ToolFailed,
    ToolTimedOut,
    UnsupportedMedia,
)

#: Handed on as an error's detail.
_DETAIL_CHARS = 4000
#: Share of the time that a tool had, times its threads, which makes it busy: CPUs are shared with others.
_BUSY_SHARE = 0.5
#: Less than this says nothing: the kernel counts processor time in ticks of 10 ms, and a tool that starts is busy.
_BUSY_LEAST_S = 1.0
#: ffmpeg's exit code when more frames failed to decode than -max_error_rate allows. Source: ffmpeg(1), -max_error_rate.
_TOO_MANY_DECODE_ERRORS = 69

_BROKEN = "The file is damaged: part of it cannot be decoded. Export or upload it again."
_UNFIT = "The file holds pictures or sound that cannot be converted. Export or upload it again."
_NO_MEMORY = "The machine ran out of memory for this file; it will be tried again."
NO_DISK = "The machine ran out of disk space; it will be tried again."
_TOO_MUCH_MEMORY = "The file needs more memory than a tool may use here."
_TOO_LONG_FILE = "An output grew beyond the largest file that a tool may write here."
_TOO_MUCH_CPU = "The work took more processor time than is allowed for media of this length."
_CRASHED = "The file makes the program that reads it crash. Export or upload it again."

#: What a tool's last words mean, the first match counts. Its exit code is 1 for all of them.
_SAID: tuple[tuple[str, type[ProcessingError], str], ...] = (
    ("No space left on device", OutOfCapacity, NO_DISK),
    ("Disk quota exceeded", OutOfCapacity, NO_DISK),
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
_WRAPPERS = ("choom:", "prlimit:", "bwrap:", "unshare:", "setpriv:", "sh:")
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


def overdue(tool: str, limit_s: float, threads: int, computed_s: float, words: str) -> ProcessingError:
    """The error of a tool that did not finish in time, and had `computed_s` of processor time in its threads.

    Who was computing all the time will do so again; who was waiting may have better luck.
    """
    if computed_s >= max(_BUSY_LEAST_S, _BUSY_SHARE * limit_s * threads):
        return LimitExceeded(
            _TOO_MUCH_CPU, detail=f"{tool} computed {computed_s:.0f} s within {limit_s:.0f} s: {words}"
        )
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

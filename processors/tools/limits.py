"""Limits of media and of the tools that work on it: the settings section `limits`."""

from typing import Literal

import msgspec

#: See Limits.sandbox.
SandboxPolicy = Literal["required", "best-effort", "off"]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of accepted media, and of the tools that process it."""

    #: Longest media, seconds.
    max_duration_s: float = 6 * 3600.0
    #: Most pixels of a video frame, width x height.
    max_pixels: int = 8192 * 4320
    #: Highest frame rate.
    max_fps: float = 300.0
    #: Most tracks in one file.
    max_tracks: int = 64
    #: Memory of one tool process, bytes of address space.
    tool_memory_bytes: int = 8 * 1024**3
    #: Largest file that a tool may write, bytes.
    tool_file_bytes: int = 32 * 1024**3
    #: Disk space for all files that one tool writes, bytes; checked about once a second.
    tool_disk_bytes: int = 64 * 1024**3
    #: Free space of each local disk that media may not use, bytes; at most a tenth of the disk. Below it uploads are
    #: rejected, incomplete resumable uploads are removed, oldest first, and steps are tried again later. 0: none.
    disk_reserve_bytes: int = 1024**3
    #: Time limit of one tool: this many seconds, plus `tool_time_factor` x the media's duration.
    tool_time_s: float = 120.0
    #: See tool_time_s.
    tool_time_factor: float = 30.0
    #: Sandbox of ffmpeg and ffprobe. "required": an executor on a machine where none works does not start;
    #: "best-effort": it runs them without one, with the network and its own permissions; "off": it always does.
    sandbox: SandboxPolicy = "required"

    def tool_timeout_s(self, duration_s: float) -> float:
        """Time limit of a tool that works on media of that duration."""
        return self.tool_time_s + self.tool_time_factor * duration_s

"""What media is accepted, and what a tool may use on it: values that whoever composes the program passes in."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one executor. Field names are those of the settings section `limits`."""

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
    #: Room on disk for all that one tool writes, bytes; looked at about once a second.
    tool_disk_bytes: int = 64 * 1024**3
    #: Wall-clock time of one tool: this many seconds, plus `tool_time_factor` x the media's duration.
    tool_time_s: float = 120.0
    #: See tool_time_s.
    tool_time_factor: float = 30.0
    #: Whether tools run in a sandbox.
    sandbox: bool = True

    def tool_timeout_s(self, duration_s: float) -> float:
        """Wall-clock limit of a tool that works on media of that duration."""
        return self.tool_time_s + self.tool_time_factor * duration_s

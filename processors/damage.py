"""Locates damage of a source: decodes a track once more, with a log that has times, and writes nothing."""

import logging
from dataclasses import dataclass
from pathlib import Path

import ffmpeg

from processors.errors import Fault, InvalidMedia, ProcessingError
from processors.media.damage import DamageLog, Span, is_complaint
from processors.tools.ffmpeg import LineSplitter, ffmpeg_argv, file_url, input_options
from processors.tools.runner import Command, Runner, ignore
from processors.tools.sandbox import FileAccess
from schemas.probe import AudioTrack, ProbeOutputs, VideoTrack

log = logging.getLogger(__name__)

#: Where broadcasts are joined packets count as corrupt, since their counters start again, and nothing else is wrong.
_JOINABLE, _SEAM_S = "mpegts", 0.2
#: Every line counts, with its level.
_LOGLEVEL = "repeat+level+info"


class Complaints:
    """Counts the lines of a log, logged as `level+…`, that report damage."""

    def __init__(self) -> None:
        self.count = 0
        self._lines = LineSplitter()

    def feed(self, chunk: bytes) -> None:
        """Read the next bytes of stderr. Raises ToolMisbehaved."""
        self.count += sum(map(is_complaint, self._lines.feed(chunk)))


@dataclass(frozen=True, kw_only=True)
class TrackDamage:
    """What is damaged of a track."""

    spans: tuple[Span, ...]
    #: Whether anything of it can be decoded.
    decodable: bool = True


def scan_args(source: Path, media: ProbeOutputs, track: VideoTrack | AudioTrack, threads: int) -> list[str]:
    """ffmpeg arguments: one track, decoded as fast as possible."""
    reading = {**input_options(media.demuxer), "threads": threads, "skip_loop_filter": "all"}
    opened = ffmpeg.input(file_url(source), **reading)
    compiled: list[str] = ffmpeg.output(opened[str(track.index)], "-", f="null", fps_mode="passthrough").get_args()
    return compiled


async def track_damage(
    runner: Runner, source: Path, media: ProbeOutputs, track: VideoTrack | AudioTrack, *, threads: int, nice: int
) -> TrackDamage:
    """Where a track is damaged. If that cannot be found out, nowhere: the result is published all the same."""
    found, lines = DamageLog(), LineSplitter()

    def read(chunk: bytes) -> None:
        for line in lines.feed(chunk):
            found.feed(line)

    argv = ffmpeg_argv(scan_args(source, media, track, threads), threads, loglevel=_LOGLEVEL)
    command = Command(
        argv=(*argv[:1], "-debug_ts", *argv[1:]),
        access=FileAccess(reads=(source,), cwd=Path("/")),
        timeout_s=runner.limits.tool_timeout_s(media.duration_s),
        cpus=threads,
        nice=nice,
    )
    try:
        await runner.run(command, ignore, read)
    except (InvalidMedia, Fault):
        pass  # what it read until then is the result
    except ProcessingError as error:
        log.warning("damage could not be located", extra={"error": str(error), "detail": error.detail})
        return TrackDamage(spans=())
    spans = found.spans(media.duration_s, _SEAM_S if media.demuxer == _JOINABLE else 0.0)
    return TrackDamage(spans=spans, decodable=found.decodable)

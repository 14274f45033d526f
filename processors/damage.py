"""Locates damage of a source: decodes a track once more, with a log that has times, and writes nothing."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import ffmpeg
from msgspec.structs import replace

from processors.errors import CorruptMedia, Fault, InvalidMedia, ProcessingError
from processors.media.damage import DamageLog, Span, damage_warnings, is_complaint
from processors.tools.cpu_priority import NICE_HEAVY
from processors.tools.ffmpeg import LineSplitter, ffmpeg_argv, file_url, input_options
from processors.tools.runner import Command, Runner, ignore
from processors.tools.sandbox import FileAccess
from schemas.base import OutputWarning
from schemas.probe import AudioTrack, ProbeOutputs, VideoTrack

log = logging.getLogger(__name__)

#: Where broadcasts are joined packets count as corrupt, since their counters start again, and nothing else is wrong.
_JOINABLE, _SEAM_S = "mpegts", 0.2
_NOTHING = "The file is damaged: neither picture nor sound can be decoded. Export or upload it again."
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


async def damage_of_tracks(
    runner: Runner, source: Path, media: ProbeOutputs, *, threads: int
) -> dict[str, TrackDamage]:
    """The damage of "picture" and "sound", of those that the media has, for a heavy step."""
    tracks = {"picture": media.video, "sound": media.audio}
    return {
        what: await track_damage(runner, source, media, track, threads=threads, nice=NICE_HEAVY)
        for what, track in tracks.items()
        if track
    }


def decodable(media: ProbeOutputs, damage: Mapping[str, TrackDamage]) -> ProbeOutputs:
    """The media without tracks of which nothing can be decoded. Raises CorruptMedia if none is left."""
    lost = {what for what, one in damage.items() if not one.decodable}
    video, audio = (
        None if what in lost else track for what, track in (("picture", media.video), ("sound", media.audio))
    )
    if not video and not audio:
        raise CorruptMedia(_NOTHING)
    return replace(media, video=video, audio=audio)


def warnings_of_tracks(damage: Mapping[str, TrackDamage], duration_s: float) -> tuple[OutputWarning, ...]:
    """A warning for each damaged stretch."""
    return tuple(chain.from_iterable(damage_warnings(what, one.spans, duration_s) for what, one in damage.items()))

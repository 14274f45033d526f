"""The step `probe`: what a file is, whether it is whole, and which of its tracks to use."""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from processors.contract import Work
from processors.errors import CorruptMedia, MediaTooLarge, NothingToShow, SourceMissing
from processors.media.packet_times import TimeBases, packets
from processors.media.sniff import Container, recognise
from processors.media.tracks import (
    audio_track,
    average_rate,
    best_audio,
    best_video,
    count,
    seconds,
    sounds,
    video_track,
)
from processors.media.truncation import check_whole
from processors.media.ts_clock import clock_jumps
from processors.tools.ffmpeg import ffprobe_argv, ffprobe_json, ffprobe_lines, input_options, packets_argv
from processors.tools.ffprobe import checked_output
from processors.tools.limits import Limits
from processors.tools.runner import Runner
from schemas.base import Json
from schemas.probe import ProbeOutputs

#: How much of the end is read to learn where the tracks really end.
_TAIL_S = 10.0
#: Containers without an index, whose times after a seek are guesses: read whole, they hold sound only.
_UNINDEXED = frozenset({"mp3", "aac"})
#: The container whose files are joined by writing one behind the other.
_JOINABLE = "mpegts"
#: Containers that state how long a track is, so that a missing end is noticed.
_DECLARES = frozenset({"mov", "matroska", "avi", "flac", "wav"})
#: How much less than declared may be there: headers are rounded, and writers count the last frame differently.
_SHORT_S = 1.0
_SHORT_SHARE = 0.02

#: A track's number, as ffprobe prints it.
_INDEX = re.compile(r"[0-9]{1,4}")
_PACKETS = ("-show_entries", "packet=stream_index,pts_time,dts_time,duration_time,flags", "-of", "csv=p=0")
_NO_TRACK = "The file holds neither video nor sound that can be played. Upload a video or audio file."


@dataclass
class Ends:
    """Where each track ends, from its packets, in the file's own time."""

    by_index: dict[int, float] = field(default_factory=dict)
    #: Whether the file's own time jumps; then the ends are those of its parts one after the other.
    clock_jumps: bool = False

    def take(self, line: str) -> None:
        """One packet as ffprobe prints it; discarded ones (outside the edit list) do not count."""
        index, pts, dts, duration, flags = (line.split(",") + [""] * 5)[:5]
        shown_at = seconds(pts)
        at = seconds(dts) if shown_at is None else shown_at
        if at is not None and "D" not in flags and _INDEX.fullmatch(index):
            self.extend(int(index), at + (seconds(duration) or 0.0))

    def extend(self, index: int, end_s: float) -> None:
        """A track lasts at least until then."""
        self.by_index[index] = max(end_s, self.by_index.get(index, end_s))


@dataclass(frozen=True)
class Prober:
    """Answers what a file is, reading its head and its end only."""

    runner: Runner

    async def process(self, work: Work) -> ProbeOutputs:
        """Container, tracks, durations. Raises InvalidMedia in its kinds when the file is not to be used."""
        container = await asyncio.to_thread(_examine, work.source, work.filename)
        source = await self.runner.readable(work.source, work.scratch)
        shown = await self._show(source, container)
        check_tracks(len(shown["streams"]), self.runner.limits)
        ends = await self._ends(source, container, shown)
        shown = await self._filled(source, container, shown, ends)
        size_bytes = (await asyncio.to_thread(source.stat)).st_size
        outputs = probe_outputs(shown, ends, container, size_bytes)
        check_limits(outputs, self.runner.limits)
        return outputs

    async def _show(self, source: Path, container: Container) -> Json:
        argv = ffprobe_argv(source, input_options(container.demuxer), "-show_format", "-show_streams", "-of", "json")
        return described(await ffprobe_json(self.runner, source, argv, self.runner.limits.tool_time_s))

    async def _ends(self, source: Path, container: Container, shown: Json) -> Ends:
        """From the last packets, or from all of them where the end cannot be found by seeking."""
        if container.demuxer == _JOINABLE and await asyncio.to_thread(clock_jumps, source):
            return await self._joined_ends(source, container, shown)
        wanted = {int(t["index"]) for t in _chosen(shown)}
        start_s, duration_s = (seconds(shown["format"].get(name)) for name in ("start_time", "duration"))
        if duration_s and container.demuxer not in _UNINDEXED:
            tail_at = (start_s or 0.0) + max(0.0, duration_s - _TAIL_S)
            ends = await self._read(source, container, "-read_intervals", f"{tail_at:.3f}%")
            if any(index in wanted for index in ends.by_index):
                return ends
        return await self._read(source, container)

    async def _joined_ends(self, source: Path, container: Container, shown: Json) -> Ends:
        """From all packets, whose times ffmpeg puts one part behind the other, as it does where it decodes."""
        tracks = [int(track["index"]) for track in _chosen(shown)]
        zero, ends = seconds(shown["format"].get("start_time")) or 0.0, Ends(clock_jumps=True)
        units: TimeBases = {}

        def take(line: str) -> None:
            for packet in packets((line,), units):
                if packet.track < len(tracks):
                    ends.extend(tracks[packet.track], zero + packet.at_s + packet.duration_s)

        argv = packets_argv(source, input_options(container.demuxer), tracks)
        await ffprobe_lines(self.runner, source, argv, self.runner.limits.tool_timeout_s(0), take)
        return ends

    async def _filled(self, source: Path, container: Container, shown: Json, ends: Ends) -> Json:
        """`shown` without tracks that hold nothing: recorders without a microphone make such. Raises NothingToShow."""
        while empty := [t for t in _chosen(shown) if not await self._holds(source, container, int(t["index"]), ends)]:
            shown = described({**shown, "streams": [t for t in shown["streams"] if t not in empty]})
        return shown

    async def _holds(self, source: Path, container: Container, index: int, ends: Ends) -> bool:
        """Whether a track has a packet, though perhaps none near its end."""
        found: list[str] = []
        if index not in ends.by_index:
            await self._listen(
                source, container, found.append, "-select_streams", str(index), "-read_intervals", "%+#1"
            )
        return index in ends.by_index or bool(found)

    async def _read(self, source: Path, container: Container, *interval: str) -> Ends:
        ends = Ends()
        await self._listen(source, container, ends.take, *interval)
        return ends

    async def _listen(self, source: Path, container: Container, take: Callable[[str], None], *choice: str) -> None:
        argv = ffprobe_argv(source, input_options(container.demuxer), *_PACKETS, *choice)
        await ffprobe_lines(self.runner, source, argv, self.runner.limits.tool_timeout_s(0), take)


def described(answer: Json) -> Json:
    """ffprobe's answer, with a list of tracks of which one at least is to be used.

    Raises NothingToShow, ToolMisbehaved.
    """
    shown = checked_output(answer)
    if not best_video(shown["streams"]) and not best_audio(shown["streams"]):
        raise NothingToShow(_NO_TRACK)
    return shown


def _examine(source: Path, filename: str | None) -> Container:
    container = recognise(source, filename)
    try:
        check_whole(source, container.demuxer)
    except OSError as error:
        raise SourceMissing("The uploaded file cannot be found any more.", detail=str(error)) from error
    return container


def _chosen(shown: Json) -> list[Json]:
    return [t for t in (best_video(shown["streams"]), best_audio(shown["streams"])) if t]


def probe_outputs(shown: Json, ends: Ends, container: Container, size_bytes: int) -> ProbeOutputs:
    """The step's outputs from ffprobe's answer. Raises CorruptMedia when tracks end before they should."""
    video, audio = best_video(shown["streams"]), best_audio(shown["streams"])
    zero = seconds(shown["format"].get("start_time")) or 0.0
    spans = {int(t["index"]): _span(t, shown["format"], ends, container, zero) for t in (video, audio) if t}
    total_s = max(start + duration for start, duration in spans.values())
    if not any(duration > 0 for _, duration in spans.values()):
        raise CorruptMedia("The file holds no playable moment. Export or upload it again.")
    others = sounds(shown["streams"])
    bit_rate = str(shown["format"].get("bit_rate", ""))
    return ProbeOutputs(
        demuxer=container.demuxer,
        container=container.name,
        size_bytes=size_bytes,
        duration_s=round(total_s, 6),
        video=video_track(video, **_times(spans[int(video["index"])])) if video else None,
        audio=audio_track(audio, **_times(spans[int(audio["index"])])) if audio else None,
        sounds=tuple(audio_track(track) for track in others) if len(others) > 1 else (),
        video_tracks=count(shown["streams"], "video"),
        audio_tracks=count(shown["streams"], "audio"),
        bit_rate_bps=int(bit_rate) if bit_rate.isdigit() else None,
        clock_jumps=ends.clock_jumps,
    )


def _times(span: tuple[float, float]) -> dict[str, float]:
    return {"start_s": round(span[0], 6), "duration_s": round(span[1], 6)}


def _span(track: Json, form: Json, ends: Ends, container: Container, zero: float) -> tuple[float, float]:
    """Start and duration of a track, from the file's start: measured, or declared where that is all there is."""
    start = (seconds(track.get("start_time")) or zero) - zero
    declared = _declared(track, form, container)
    measured = ends.by_index.get(int(track["index"]))
    if measured is None:
        return start, declared or 0.0
    duration = measured - zero - start
    if declared and duration < declared - max(_SHORT_S, _SHORT_SHARE * declared):
        raise CorruptMedia(
            f"The file is cut off: a track of {declared:.1f} s ends after {max(duration, 0):.1f} s. Upload it again."
        )
    return start, max(duration, _one_frame(track))


def _declared(track: Json, form: Json, container: Container) -> float | None:
    if container.demuxer not in _DECLARES:
        return None
    tag = seconds(track.get("tags", {}).get("DURATION"))
    if tag is not None:  # Matroska's is counted from the file's start
        return max(0.0, tag - (seconds(track.get("start_time")) or 0.0))
    return seconds(track.get("duration")) or (seconds(form.get("duration")) if form.get("nb_streams") == 1 else None)


def _one_frame(track: Json) -> float:
    """A picture lasts for one frame, also where its container gives it no duration."""
    return float(1 / Fraction(average_rate(track))) if track["codec_type"] == "video" else 0.0


def check_limits(outputs: ProbeOutputs, limits: Limits) -> None:
    """Raise MediaTooLarge, saying what is too large and how large it may be."""
    video = outputs.video
    coded = video.coded_width_px * video.coded_height_px if video else 0
    shown = video.width_px * video.height_px if video else 0
    _check(
        (
            ("lasts {:.0f} s", outputs.duration_s, limits.max_duration_s),
            ("has {:.0f} pixels a picture", max(coded, shown), limits.max_pixels),
            ("has {:.0f} frames a second", video.fps if video else 0, limits.max_fps),
        )
    )


def check_tracks(found: int, limits: Limits) -> None:
    """The same for the number of tracks: before they are looked at one by one."""
    _check((("has {:.0f} tracks", found, limits.max_tracks),))


def _check(bounded: Iterable[tuple[str, float, float]]) -> None:
    """Raise MediaTooLarge for the first that is more than it may be: words for it, what was found, the most."""
    for what, found, most in bounded:
        if found > most:
            raise MediaTooLarge(f"The file {what.format(found)}; at most {most:.0f} are accepted.")

"""The step `probe`: container, tracks and durations of the source, and whether it is complete."""

import asyncio
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from processors.contract import Work
from processors.errors import CorruptMedia, MediaTooLarge, NothingToShow, SourceMissing
from processors.media.channels import MAX_CHANNELS
from processors.media.chapters import chapters
from processors.media.damage import JumpLog, incomplete_warning, jump_warnings, truncation_warning
from processors.media.ogg_chain import is_chained
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
    subtitle_tracks,
    video_track,
)
from processors.media.truncation import missing_bytes
from processors.media.ts_clock import clock_jumps
from processors.tools.ffmpeg import LineSplitter, ffprobe_argv, ffprobe_json, ffprobe_lines, input_options, packets_argv
from processors.tools.ffprobe import checked_output
from processors.tools.limits import Limits
from processors.tools.runner import Runner
from schemas.base import Json, OutputWarning
from schemas.probe import ProbeOutputs, VideoTrack

#: Length of the tail that is read to measure where the tracks end.
_TAIL_S = 10.0
#: Containers without an index, whose timestamps after a seek are guesses: read completely, they hold audio only.
_UNINDEXED = frozenset({"mp3", "aac", "ac3", "eac3", "amr"})
#: Containers whose files can be joined by concatenating them, and what finds that.
_JOINABLE: dict[str, Callable[[Path], bool]] = {"mpegts": clock_jumps, "ogg": is_chained}
#: Containers that declare the duration of a track, so that a missing end is noticed.
_DECLARES = frozenset({"mov", "matroska", "avi", "flac", "wav"})
#: Containers whose length covers everything in the order of time: what is missing was at the end.
_SEQUENTIAL = frozenset({"avi", "wav"})
#: How much shorter than declared a track may be: headers are rounded, and writers count the last frame differently.
_SHORT_S = 1.0
_SHORT_SHARE = 0.02

#: Times of the last packets of each track that are kept.
_TIMES = 256
#: Track index, as ffprobe prints it.
_INDEX = re.compile(r"[0-9]{1,4}")
_DESCRIPTION = ("-show_format", "-show_streams", "-show_chapters", "-of", "json")
_PACKETS = ("-show_entries", "packet=stream_index,pts_time,dts_time,duration_time,flags", "-of", "csv=p=0")
_NAMES = {"video": "picture", "audio": "sound"}
_NO_TRACK = "The file has neither video nor audio that can be played. Upload a video or audio file."


class Sizes(NamedTuple):
    """Bytes of a file."""

    present: int
    #: How many more it should have, by its container.
    missing: int = 0


@dataclass
class Ends:
    """The end of each track, measured from its packets, on the file's timeline."""

    by_index: dict[int, float] = field(default_factory=dict)
    #: Times of the last packets of each track, on the same timeline; of joined parts none.
    times_s: defaultdict[int, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=_TIMES)))
    #: Whether the timestamps jump; then the ends are those of the concatenated parts.
    clock_jumps: bool = False
    #: Where they jump, on the timeline of the concatenated parts.
    jumps_at_s: list[float] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Add a packet as ffprobe prints it; discarded ones (outside the edit list) are ignored."""
        index, pts, dts, duration, flags = (line.split(",") + [""] * 5)[:5]
        pts_s = seconds(pts)
        at = seconds(dts) if pts_s is None else pts_s
        if at is not None and "D" not in flags and _INDEX.fullmatch(index):
            self.extend(int(index), at + (seconds(duration) or 0.0))
            self.times_s[int(index)].append(at)

    def extend(self, index: int, end_s: float) -> None:
        """Extend the end of a track."""
        self.by_index[index] = max(end_s, self.by_index.get(index, end_s))


@dataclass(frozen=True)
class Prober:
    """Describes a file, reading only its head and tail."""

    runner: Runner

    async def process(self, work: Work) -> ProbeOutputs:
        """Describe the source. Raises InvalidMedia and its subclasses if the file cannot be used."""
        container, missing = await asyncio.to_thread(_sniffed, work.source, work.filename)
        source = await self.runner.readable(work.source, work.scratch)
        description = await self._described(source, container)
        check_tracks(len(description["streams"]), self.runner.limits)
        ends = await self._ends(source, container, description)
        description = await self._without_empty_tracks(source, container, description, ends)
        size_bytes = (await asyncio.to_thread(source.stat)).st_size
        outputs = probe_outputs(description, ends, container, Sizes(size_bytes, missing))
        check_limits(outputs, self.runner.limits)
        return outputs

    async def _described(self, source: Path, container: Container) -> Json:
        argv = ffprobe_argv(source, input_options(container.demuxer), *_DESCRIPTION)
        return described(await ffprobe_json(self.runner, source, argv, self.runner.limits.tool_time_s))

    async def _ends(self, source: Path, container: Container, description: Json) -> Ends:
        """Measure from the last packets, or from all if the end cannot be found by seeking."""
        finder = _JOINABLE.get(container.demuxer)
        if finder is not None and await asyncio.to_thread(finder, source):
            return await self._joined_ends(source, container, description)
        selected = {int(t["index"]) for t in _selected(description)}
        start_s, duration_s = (seconds(description["format"].get(name)) for name in ("start_time", "duration"))
        if duration_s and duration_s > _TAIL_S and container.demuxer not in _UNINDEXED:
            ends = await self._tail_ends(source, container, (start_s or 0.0) + duration_s - _TAIL_S)
            if any(index in selected for index in ends.by_index):
                return ends
        return await self._read_ends(source, container)

    async def _tail_ends(self, source: Path, container: Container, tail_at_s: float) -> Ends:
        """The ends found in the last part; none if the file cannot be read from there on."""
        try:
            return await self._read_ends(source, container, "-read_intervals", f"{tail_at_s:.3f}%")
        except CorruptMedia:  # e.g. a damaged index, or a track without a frame: "Could not seek to position"
            return Ends()

    async def _joined_ends(self, source: Path, container: Container, description: Json) -> Ends:
        """Measure from all packets, with ffmpeg's corrections of timestamp jumps, as when it decodes."""
        tracks = [int(track["index"]) for track in _selected(description)]
        zero, ends = seconds(description["format"].get("start_time")) or 0.0, Ends(clock_jumps=True)
        units: TimeBases = {}
        jumps, log = JumpLog(), LineSplitter()

        def on_packet(line: str) -> None:
            for packet in packets((line,), units):
                if packet.track < len(tracks):
                    ends.extend(tracks[packet.track], zero + packet.at_s + packet.duration_s)

        def on_log(chunk: bytes) -> None:
            for line in log.feed(chunk):
                jumps.feed(line)

        argv = packets_argv(source, input_options(container.demuxer), tracks)
        timeout_s = self.runner.limits.tool_timeout_s(0)
        await ffprobe_lines(self.runner, source, argv, timeout_s, on_packet, on_stderr=on_log)
        return replace(ends, jumps_at_s=jumps.jumps_at_s)

    async def _without_empty_tracks(self, source: Path, container: Container, description: Json, ends: Ends) -> Json:
        """The description without empty tracks, e.g. of recorders without a microphone. Raises NothingToShow."""
        while empty := [
            t for t in _selected(description) if not await self._has_packet(source, container, int(t["index"]), ends)
        ]:
            description = described({**description, "streams": [t for t in description["streams"] if t not in empty]})
        return description

    async def _has_packet(self, source: Path, container: Container, index: int, ends: Ends) -> bool:
        """Whether a track has a packet, even if none near the end of the file."""
        lines: list[str] = []
        if index not in ends.by_index:
            await self._read_packets(
                source, container, lines.append, "-select_streams", str(index), "-read_intervals", "%+#1"
            )
        return index in ends.by_index or bool(lines)

    async def _read_ends(self, source: Path, container: Container, *interval: str) -> Ends:
        ends = Ends()
        await self._read_packets(source, container, ends.add, *interval)
        return ends

    async def _read_packets(
        self, source: Path, container: Container, on_packet: Callable[[str], None], *selection: str
    ) -> None:
        argv = ffprobe_argv(source, input_options(container.demuxer), *_PACKETS, *selection)
        await ffprobe_lines(self.runner, source, argv, self.runner.limits.tool_timeout_s(0), on_packet)


def described(output: Json) -> Json:
    """Validate ffprobe's output, with at least one usable track.

    Raises NothingToShow, OutputInvalid.
    """
    description = checked_output(output)
    if not best_video(description["streams"]) and not best_audio(description["streams"]):
        raise NothingToShow(_NO_TRACK)
    return description


def _sniffed(source: Path, filename: str | None) -> tuple[Container, int]:
    """The container, and how many bytes are missing by its own sizes."""
    container = recognise(source, filename)
    try:
        return container, missing_bytes(source, container.demuxer)
    except OSError as error:
        raise SourceMissing("The uploaded file no longer exists. Upload it again.", detail=str(error)) from error


def _selected(description: Json) -> list[Json]:
    return [t for t in (best_video(description["streams"]), best_audio(description["streams"])) if t]


def probe_outputs(description: Json, ends: Ends, container: Container, sizes: Sizes) -> ProbeOutputs:
    """The step's outputs from ffprobe's output. Raises CorruptMedia if nothing can be played."""
    video, audio = best_video(description["streams"]), best_audio(description["streams"])
    zero = seconds(description["format"].get("start_time")) or 0.0
    spans = {int(t["index"]): _span(t, description["format"], ends, container, zero) for t in (video, audio) if t}
    total_s = max(start + duration for start, duration in spans.values())
    if not any(duration > 0 for _, duration in spans.values()):
        raise CorruptMedia("The file has no playable content. Export it again, or upload it again.")
    others = sounds(description["streams"])
    bit_rate = str(description["format"].get("bit_rate", ""))
    return ProbeOutputs(
        demuxer=container.demuxer,
        container=container.name,
        size_bytes=sizes.present,
        duration_s=round(total_s, 6),
        video=_video(video, spans, ends, zero) if video else None,
        audio=audio_track(audio, **_times(spans[int(audio["index"])])) if audio else None,
        sounds=tuple(audio_track(track) for track in others) if len(others) > 1 else (),
        subtitles=subtitle_tracks(description["streams"]),
        chapters=chapters(description.get("chapters", ()), zero),
        video_tracks=count(description["streams"], "video"),
        audio_tracks=count(description["streams"], "audio"),
        bit_rate_bps=int(bit_rate) if bit_rate.isdigit() else None,
        clock_jumps=ends.clock_jumps,
        warnings=(*_warnings(description, spans, container, sizes), *jump_warnings(ends.jumps_at_s)),
    )


def _video(track: Json, spans: Mapping[int, tuple[float, float]], ends: Ends, zero: float) -> VideoTrack:
    index = int(track["index"])
    times_s = [at_s - zero for at_s in ends.times_s.get(index, ())]
    return video_track(track, **_times(spans[index]), frame_times_s=times_s)


def _warnings(
    description: Json, spans: Mapping[int, tuple[float, float]], container: Container, sizes: Sizes
) -> Iterator[OutputWarning]:
    """What the file lacks: the end of all of it or of a track, or bytes anywhere."""
    tracks = {int(track["index"]): track for track in _selected(description)}
    form = description["format"]
    short = {
        index: (spans[index][0] + spans[index][1], spans[index][0] + declared)
        for index, track in tracks.items()
        if (declared := _declared(track, form, container)) and _is_short(spans[index][1], declared)
    }
    end_s, whole_s = max(map(sum, spans.values())), seconds(form.get("duration")) or 0.0
    if len(short) == len(tracks):
        yield truncation_warning(end_s, max(declared for _, declared in short.values()), "file")
    elif short:
        for index, (ends_s, declared_s) in short.items():
            yield truncation_warning(ends_s, declared_s, _NAMES[tracks[index]["codec_type"]])
    elif sizes.missing and _is_short(end_s, whole_s):
        yield truncation_warning(end_s, whole_s, "file")
    elif sizes.missing and container.demuxer in _SEQUENTIAL:  # what is missing lasts as long as as many bytes before it
        yield truncation_warning(end_s, end_s * (1 + sizes.missing / sizes.present), "file")
    elif sizes.missing:
        yield incomplete_warning(sizes.missing)


def _is_short(duration_s: float, declared_s: float) -> bool:
    return duration_s < declared_s - max(_SHORT_S, _SHORT_SHARE * declared_s)


def _times(span: tuple[float, float]) -> dict[str, float]:
    return {"start_s": round(span[0], 6), "duration_s": round(span[1], 6)}


def _span(track: Json, form: Json, ends: Ends, container: Container, zero: float) -> tuple[float, float]:
    """Start and duration of a track, from the file's start: measured, else declared."""
    start = (seconds(track.get("start_time")) or zero) - zero
    declared = _declared(track, form, container)
    measured = ends.by_index.get(int(track["index"]))
    if measured is None:
        return start, declared or 0.0
    return start, max(measured - zero - start, _one_frame(track))


def _declared(track: Json, form: Json, container: Container) -> float | None:
    if container.demuxer not in _DECLARES:
        return None
    tag = seconds(track.get("tags", {}).get("DURATION"))
    if tag is not None:  # in Matroska from the file's start
        return max(0.0, tag - (seconds(track.get("start_time")) or 0.0))
    return seconds(track.get("duration")) or (seconds(form.get("duration")) if form.get("nb_streams") == 1 else None)


def _one_frame(track: Json) -> float:
    """The least duration of a track: one video frame, if its container gives none."""
    return float(1 / Fraction(average_rate(track))) if track["codec_type"] == "video" else 0.0


def check_limits(outputs: ProbeOutputs, limits: Limits) -> None:
    """Check the limits of media. Raises MediaTooLarge."""
    video = outputs.video
    coded = video.coded_width_px * video.coded_height_px if video else 0
    displayed = video.width_px * video.height_px if video else 0
    _check(
        (
            ("lasts {:.0f} s", outputs.duration_s, limits.max_duration_s),
            ("has {:.0f} pixels per frame", max(coded, displayed), limits.max_pixels),
            ("has {:.0f} frames per second", video.fps if video else 0, limits.max_fps),
            ("has {:.0f} audio channels", outputs.audio.channels if outputs.audio else 0, MAX_CHANNELS),
        )
    )


def check_tracks(tracks: int, limits: Limits) -> None:
    """Check the number of tracks, before they are read one by one. Raises MediaTooLarge."""
    _check((("has {:.0f} tracks", tracks, limits.max_tracks),))


def _check(limited: Iterable[tuple[str, float, float]]) -> None:
    """Raise MediaTooLarge for the first value beyond its maximum. Items: text, value, maximum."""
    for text, value, most in limited:
        if value > most:
            raise MediaTooLarge(f"The file {text.format(value)}; at most {most:.0f} are accepted.")

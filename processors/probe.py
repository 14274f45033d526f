"""The step `probe`: container, tracks and durations of the source, and whether it is complete."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from processors.contract import Work
from processors.errors import CorruptMedia, NothingToShow, SourceMissing
from processors.media.containers import Container
from processors.media.damage import JumpLog
from processors.media.description import Sizes, probe_outputs, selected_tracks
from processors.media.ogg_chain import is_chained
from processors.media.packet_times import TimeBases, packets
from processors.media.sniff import recognise
from processors.media.track_ends import Ends
from processors.media.tracks import best_audio, best_video, seconds
from processors.media.truncation import missing_bytes
from processors.media.ts_clock import clock_jumps
from processors.media_limits import check_limits, check_tracks
from processors.tools.ffmpeg import LineSplitter, ffprobe_argv, ffprobe_json, ffprobe_lines, input_options, packets_argv
from processors.tools.ffprobe import checked_output
from processors.tools.runner import Runner
from schemas.base import Json
from schemas.probe import ProbeOutputs

#: Length of the tail that is read to measure where the tracks end.
_TAIL_S = 10.0
#: Containers without an index, whose timestamps after a seek are guesses: read completely, they hold audio only.
_UNINDEXED = frozenset({"mp3", "aac", "ac3", "eac3", "amr"})
#: Containers whose files can be joined by concatenating them, and what finds that.
_JOINABLE: dict[str, Callable[[Path], bool]] = {"mpegts": clock_jumps, "ogg": is_chained}

_DESCRIPTION = ("-show_format", "-show_streams", "-show_chapters", "-of", "json")
_PACKETS = ("-show_entries", "packet=stream_index,pts_time,dts_time,duration_time,flags", "-of", "csv=p=0")
_NO_TRACK = "The file has neither video nor audio that can be played. Upload a video or audio file."


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
        selected = {int(t["index"]) for t in selected_tracks(description)}
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
        tracks = [int(track["index"]) for track in selected_tracks(description)]
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
            t
            for t in selected_tracks(description)
            if not await self._has_packet(source, container, int(t["index"]), ends)
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

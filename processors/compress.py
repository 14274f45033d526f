"""The step `compress`: one smaller MP4, H.264 and AAC, that plays everywhere and while it loads."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg

from processors.contract import Work, outputs_of, params_of
from processors.damage import Complaints, TrackDamage, damage_of_tracks, decodable, warnings_of_tracks
from processors.errors import CorruptMedia, Fault, MediaTooLarge
from processors.media.colours import decoder_options
from processors.media.compression import Plan, limit_bytes, plan
from processors.media.progressive_mp4 import ExpectedFile, validate_layout, validate_tracks
from processors.media.video_filters import Chain, steady_options
from processors.media.whole_tracks import even_pictures, us, whole_sound
from processors.tools.cpu_priority import NICE_HEAVY
from processors.tools.ffmpeg import AAC, Progress, ffmpeg_argv, ffprobe_argv, ffprobe_json, file_url, input_options
from processors.tools.runner import Command, Runner
from processors.tools.sandbox import FileAccess
from schemas.base import OutputWarning
from schemas.compress import CompressOutputs, CompressParams
from schemas.probe import ProbeOutputs

FILE, NOT_SMALLER = "compressed.mp4", "not-smaller"
#: NUT, because ffmpeg 5.1 writes the turn of the source into an MP4, although the pictures stand upright already; it
#: has no place for the priming of sound.
_PICTURE, _SOUND = ("picture.nut", "nut"), ("sound.mp4", "mp4")
#: ffmpeg's demuxer by muxer.
_DEMUXERS = {"nut": "nut", "mp4": "mov"}
_RATE_HZ = 48_000
#: Encodes until the file fits, and how far below the limit the next one aims.
_TRIES, _AIM = 3, 0.95
_GOP_S = 2
#: As in an encode of the ladder: wrong time stamps in a damaged file would make it endless.
_OVERTIME_S = 0.5
_ENCODE_SHARE, _JOIN_SHARE = 0.95, 0.99


def compress_args(
    source: Path, media: ProbeOutputs, plan: Plan, params: CompressParams, *, cpus: int, max_pixels: int
) -> list[str]:
    """Arguments for ffmpeg: each track into a file of its own, so that each begins at its own moment."""
    decoding = {**decoder_options(media.video), **steady_options(media.video)} if media.video else {}
    options = {**input_options(media.demuxer), **decoding, "max_pixels": max_pixels, "threads": cpus}
    opened = ffmpeg.input(file_url(source), **options, noautorotate=None)
    outputs = []
    if media.video and plan.size:
        sizes = [plan.size]
        [picture] = even_pictures(opened, media.video, sizes, plan.rate, plan.duration_s, is_filled=plan.is_filled)
        outputs.append(_picture_output(picture, plan, params, cpus))
    if media.audio:
        filters = whole_sound(media.audio, _RATE_HZ, plan.duration_s, is_filled=plan.is_filled)
        codec = {"af": filters, **AAC, "b:a": plan.audio_bps}
        outputs.append(_track_output(opened[str(media.audio.index)], _SOUND, codec, plan))
    compiled: list[str] = ffmpeg.merge_outputs(*outputs).get_args()
    return compiled


def _picture_output(picture: Chain, plan: Plan, params: CompressParams, cpus: int) -> Chain:
    options = {
        "c:v": "libx264",
        "preset": "veryfast",
        "profile:v": "high",
        "crf": params.crf,
        "maxrate": plan.video_bps,
        "bufsize": plan.video_bps,
        "force_key_frames": f"expr:gte(t,n_forced*{_GOP_S})",
        "threads": cpus,
    }
    return _track_output(picture, _PICTURE, options, plan)


def _track_output(track: Chain, file: tuple[str, str], codec: Mapping[str, Any], plan: Plan) -> Chain:
    name, muxer = file
    options = {"map_metadata": -1, "map_chapters": -1, "t": us(plan.duration_s + _OVERTIME_S), "f": muxer}
    return ffmpeg.output(track, name, **codec, **options)


def join_args(folder: Path, plan: Plan, *, has_sound: bool) -> list[str]:
    """Arguments for ffmpeg: the tracks in one file as they are, its index in front."""
    # The one that begins later is delayed: players differ about pictures that begin before the file does.
    files = {_PICTURE: plan.phase_s} if plan.size else {}
    files |= {_SOUND: -plan.phase_s} if has_sound else {}
    tracks = [
        ffmpeg.input(
            file_url(folder / name), **input_options(_DEMUXERS[muxer]), itsoffset=us(max(later_s, Fraction(0)))
        )
        for (name, muxer), later_s in files.items()
    ]
    clean = {"map_metadata": -1, "map_chapters": -1, "c": "copy", "movflags": "+faststart", "f": "mp4"}
    compiled: list[str] = ffmpeg.output(*tracks, FILE, **clean).get_args()
    return compiled


@dataclass(frozen=True)
class Compressor:
    """Encodes one smaller file, and validates it."""

    runner: Runner

    async def process(self, work: Work) -> CompressOutputs:
        """The file. Raises InvalidMedia when nothing can be decoded or it does not fit into `max_bytes`."""
        params, media = params_of(work, CompressParams), outputs_of(work, "probe", ProbeOutputs)
        encode = Encode(self.runner, work, await self.runner.readable(work.source, work.scratch), media, params)
        try:
            planned = await encode.fit(media, plan(media, params))
            damage = await encode.damage()
            if "sound" in damage and damage["sound"].spans:
                planned = await encode.fit(media, planned, exact_sound=True)
        except (CorruptMedia, Fault):
            damage = await encode.damage()
            if not any(one.spans for one in damage.values()):
                raise
            media = decodable(media, damage)
            planned = await encode.fit(media, plan(media, params, is_filled=True), exact_sound=True)
        work.report(1.0, {})
        return await encode.outputs(planned, warnings_of_tracks(damage, media.duration_s))


@dataclass(frozen=True)
class Encode:
    """The encodes of one attempt, and what their decoders complained about."""

    runner: Runner
    work: Work
    source: Path
    media: ProbeOutputs
    params: CompressParams
    complaints: Complaints = field(default_factory=Complaints)

    async def fit(self, media: ProbeOutputs, planned: Plan, *, exact_sound: bool = False) -> Plan:
        """Encode until the file is small enough, and return the plan that it was made by. Raises MediaTooLarge."""
        limit, params = limit_bytes(self.media, self.params), self.params
        for number in range(_TRIES):
            await self._write(media, planned, exact_sound=exact_sound or media.clock_jumps)
            size = await self._size()
            following = planned.smaller(_AIM * limit / size)
            if size <= limit or following == planned or number == _TRIES - 1:
                break
            planned = following
        if params.max_bytes is not None and size > params.max_bytes:
            raise MediaTooLarge(
                f"The film cannot be made as small as {params.max_bytes:,} bytes: {size:,} are the least. "
                "Allow more, or cut it."
            )
        await self._validate(media, planned)
        return planned

    async def _write(self, media: ProbeOutputs, planned: Plan, *, exact_sound: bool) -> None:
        work, limits = self.work, self.runner.limits
        progress = Progress(media.duration_s, lambda done: work.report(done * _ENCODE_SHARE, {}))
        args = compress_args(self.source, media, planned, self.params, cpus=work.cpus, max_pixels=limits.max_pixels)
        argv = ffmpeg_argv(args, work.cpus, exact_sound=exact_sound)
        await self.runner.run(self._command(argv, self.source, work.scratch), progress.feed, self.complaints.feed)
        joined = ffmpeg_argv(join_args(work.scratch, planned, has_sound=media.audio is not None), 1)
        await self.runner.run(self._command(joined, work.scratch, work.output))
        work.report(_JOIN_SHARE, {})

    def _command(self, argv: tuple[str, ...], reads: Path, writes: Path) -> Command:
        return Command(
            argv=argv,
            access=FileAccess(reads=(reads,), writes=(writes,), cwd=writes),
            timeout_s=self.runner.limits.tool_timeout_s(self.media.duration_s),
            cpus=self.work.cpus,
            nice=NICE_HEAVY,
        )

    async def _size(self) -> int:
        return (await asyncio.to_thread((self.work.output / FILE).stat)).st_size

    async def _validate(self, media: ProbeOutputs, planned: Plan) -> None:
        path, size = self.work.output / FILE, planned.size
        await asyncio.to_thread(validate_layout, path)
        argv = ffprobe_argv(path, input_options("mov"), "-show_streams", "-of", "json")
        tracks = await ffprobe_json(self.runner, path, argv, self.runner.limits.tool_time_s)
        expected = ExpectedFile(
            duration_s=planned.duration_s,
            picture=(size.width_px, size.height_px) if size else None,
            frame_s=float(1 / planned.rate) if planned.rate else 0.0,
            phase_s=float(planned.phase_s),
            has_sound=media.audio is not None,
        )
        validate_tracks(tracks, expected)

    async def damage(self) -> dict[str, TrackDamage]:
        """The damage of picture and sound; decodes them once more if there were complaints."""
        if not self.complaints.count:
            return {}
        return await damage_of_tracks(self.runner, self.source, self.media, threads=self.work.cpus)

    async def outputs(self, planned: Plan, warnings: tuple[OutputWarning, ...]) -> CompressOutputs:
        """What was written."""
        size, size_bytes = planned.size, await self._size()
        if size_bytes >= self.media.size_bytes:
            message = "The file was compressed as much already: the result is not smaller."
            warnings = (*warnings, OutputWarning(code=NOT_SMALLER, message=message))
        return CompressOutputs(
            video=self.work.key(FILE),
            size_bytes=size_bytes,
            source_bytes=self.media.size_bytes,
            duration_s=planned.duration_s,
            width_px=size.width_px if size else None,
            height_px=size.height_px if size else None,
            fps=round(float(planned.rate), 3) or None,
            warnings=warnings,
        )

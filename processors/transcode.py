"""The step `transcode`: an adaptive HLS ladder from one decode, proven before it is handed on."""

import asyncio
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import ffmpeg
import msgspec

from processors.contract import Work, outputs_of, params_of
from processors.damage import Complaints, TrackDamage, track_damage
from processors.errors import CorruptMedia, Fault, InvalidParams, NothingToShow
from processors.media.channels import mixed
from processors.media.colours import decoder_options, prepared, scaled, tagged
from processors.media.damage import damage_warnings
from processors.media.encode_validation import PLAYLIST, Expected, ValidatedRendition, prove, prove_together
from processors.media.hls import Variant, master_playlist
from processors.media.ladder import Size, ladder
from processors.media.profiles import Profile
from processors.media.video_filters import Chain, deinterlaced, steady, steady_options, upright
from processors.tools.cpu_priority import NICE_HEAVY
from processors.tools.ffmpeg import AAC, Progress, ffmpeg_argv, file_url, input_options
from processors.tools.runner import Command, Runner
from processors.tools.sandbox import FileAccess
from schemas.base import OutputWarning
from schemas.probe import AudioTrack, ProbeOutputs, VideoTrack
from schemas.transcode import Rendition, TranscodeOutputs, TranscodeParams

FOLDER = "hls"
AUDIO = "audio"
#: x264 with a B-pyramid holds back two frames; the clock of the segments starts later by them and a little.
_HELD_BACK_FRAMES = 2
_HELD_BACK_SLACK_S = Fraction(2, 100)
#: At least this: sound starts one AAC frame early.
_MIN_START_S = Fraction(1, 10)
#: Samples in an AAC-LC frame. Source: ISO/IEC 14496-3.
_AAC_FRAME = 1024
#: Samples that ffmpeg's AAC encoder puts before the first one of the source; players decode and play them, as silence.
#: Source: libavcodec/aacenc.c, initial_padding.
_AAC_PRIMING = 1024
#: A frame rate beyond the highest by no more than this is lowered to it: the averages of cameras are a little off.
_NEARLY_MAX = Fraction(105, 100)
#: No segment begins later than this before the end: of one that lasts a frame hls.js 1.7 never sees the end, and waits.
_LEAST_TAIL_S = 0.5
_NOTHING = "The file is damaged: neither picture nor sound can be decoded. Export or upload it again."
#: Published beyond the media's duration at most: wrong time stamps in a damaged file would make an encode endless.
_OVERTIME_S = 0.5
#: Share of the progress that is the encode; the rest is the proof.
_ENCODE_SHARE = 0.98
#: Makes separately muxed video and sound start together, without an empty edit in front of B-frames.
_SEGMENT_OPTIONS = "movflags=+frag_custom+dash+delay_moov+frag_discont"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be encoded, decided before anything runs."""

    sizes: tuple[Size, ...]
    #: Frames a second of every rendition.
    rate: Fraction
    segment_s: float
    #: Where the media's clock starts in the segments.
    start_s: Fraction
    #: How far the grid of frames lies behind it, less than half a frame either way: a film seldom begins with its file.
    phase_s: Fraction
    duration_s: float
    #: Whether every rendition is made to last that long: where the end cannot be decoded, the last picture stands, and
    #: there is silence.
    is_filled: bool = False


def plan(media: ProbeOutputs, profile: Profile, *, is_filled: bool = False) -> Plan:
    """The renditions, their rate and their cuts. Raises NothingToShow when there is no track."""
    video = media.video
    if not video and not media.audio:
        raise NothingToShow("The file holds neither video nor sound that can be played.")
    rate = _capped(Fraction(video.frame_rate), profile.video.max_fps) if video else Fraction(0)
    phase_s = _phase_s(_grid_s(video), rate) if video else Fraction(0)
    short = media.duration_s < profile.short_below_s
    return Plan(
        sizes=ladder(video.width_px, video.height_px, profile) if video else (),
        rate=rate,
        segment_s=profile.short_segment_s if short else profile.segment_s,
        start_s=_start_s(rate, phase_s) if rate else _MIN_START_S,
        phase_s=phase_s,
        duration_s=media.duration_s,
        is_filled=is_filled,
    )


def _capped(rate: Fraction, max_fps: float) -> Fraction:
    """The rate divided by the smallest number that makes it low enough, so that frames are dropped evenly."""
    most = Fraction(max_fps)
    return min(rate / math.ceil(rate / (most * _NEARLY_MAX)), most)


def _grid_s(video: VideoTrack) -> float:
    """The time of the first frame, if it lasted as long as the others."""
    return video.start_s if video.grid_start_s is None else video.grid_start_s


def _phase_s(start_s: float, rate: Fraction) -> Fraction:
    """From the nearest moment that is a multiple of a frame to the track's start."""
    start = Fraction(start_s).limit_denominator(1_000_000)
    return start - round(start * rate) / rate


def _start_s(rate: Fraction, phase_s: Fraction) -> Fraction:
    """Late enough that nothing is decoded before zero: neither held back frames nor a first one that comes early."""
    early_s = max(-phase_s, Fraction(0))
    return max(_HELD_BACK_FRAMES / rate + _HELD_BACK_SLACK_S + early_s, _MIN_START_S)


def transcode_args(
    source: Path, media: ProbeOutputs, profile: Profile, plan: Plan, *, cpus: int, max_pixels: int
) -> list[str]:
    """Arguments for ffmpeg: paths of what is written are relative to the output folder."""
    reading = input_options(media.demuxer)
    decoding = {**decoder_options(media.video), **steady_options(media.video)} if media.video else {}
    options = {**reading, **decoding, "max_pixels": max_pixels, "threads": cpus, "noautorotate": None}
    opened = ffmpeg.input(file_url(source), **options)
    outputs = []
    if media.video:
        for size, picture in zip(plan.sizes, _pictures(opened, media.video, plan), strict=True):
            outputs.append(_video_output(picture, size, profile, plan, cpus))
    if media.audio:
        outputs.append(_audio_output(opened, media.audio, profile, plan))
    compiled: list[str] = ffmpeg.merge_outputs(*outputs).get_args()
    return compiled


def _pictures(opened: Chain, track: VideoTrack, plan: Plan) -> list[Chain]:
    """One chain per rendition, decoded once."""
    picture = deinterlaced(steady(opened[str(track.index)], track), track)
    if plan.phase_s:  # `fps` moves every frame to a multiple of a frame: the output's offset gives the rest back
        picture = picture.filter("setpts", f"PTS-({_us(plan.phase_s)})/TB")
    even = picture.filter("fps", fps=_ratio(plan.rate), start_time=0)
    missing_s = plan.duration_s - track.start_s - (track.duration_s or 0)
    if plan.is_filled:
        even = even.filter("tpad", stop_mode="clone", stop=-1).filter(
            "trim", end=_us(plan.duration_s - 0.5 / plan.rate)
        )
    elif missing_s > 1 / plan.rate:  # the last picture stands while the sound goes on
        even = even.filter("tpad", stop_mode="clone", stop_duration=_us(missing_s))
    largest = plan.sizes[0]
    turned, colours = prepared(upright(even, track), track, largest.width_px, largest.height_px)
    copies = turned.filter_multi_output("split", len(plan.sizes)) if len(plan.sizes) > 1 else [turned]
    return [
        tagged(scaled(copies[place], size.width_px, size.height_px, colours)) for place, size in enumerate(plan.sizes)
    ]


def _sound_filters(track: AudioTrack, profile: Profile, plan: Plan) -> str:
    """From the first moment to the last: gaps, a late start and an early end are silence."""
    missing_s = plan.duration_s - track.start_s - (track.duration_s or 0)
    padding = [f"apad=pad_dur={_us(missing_s)}"] if missing_s > 0 else []
    if plan.is_filled:
        padding = [f"apad=whole_dur={_us(plan.duration_s)}", f"atrim=end={_us(plan.duration_s)}"]
    rate = f"aresample={profile.audio.sample_rate_hz}"
    many = [f"{name}={_text(options)}" for name, options in mixed(track.channels)]
    return ",".join([*many, rate, "aformat=sample_fmts=fltp:channel_layouts=stereo", *padding])


def _text(options: Mapping[str, str]) -> str:
    return ":".join(f"{name}={value}" for name, value in options.items())


def _video_output(picture: Chain, size: Size, profile: Profile, plan: Plan, cpus: int) -> Chain:
    recipe = profile.video
    options = {
        "c:v": "libx264",
        "preset": recipe.preset,
        "profile:v": "high",
        "crf": recipe.crf,
        "maxrate": size.max_bps,
        "bufsize": round(size.max_bps * recipe.buffer_s),
        "force_key_frames": f"expr:gte(t,n_forced*{profile.gop_s:g})*lt(t,{_us(plan.duration_s - _LEAST_TAIL_S)})",
        "sc_threshold": 0,
        "threads": cpus,
    }
    return _hls_output(picture, size.name, options, plan, plan.start_s + plan.phase_s)


def _audio_output(opened: Chain, track: AudioTrack, profile: Profile, plan: Plan) -> Chain:
    """Its filters stand apart from the pictures': where the form of the sound changes, they alone begin again."""
    codec = {"af": _sound_filters(track, profile, plan), **AAC, "b:a": profile.audio.bit_rate_bps}
    return _hls_output(opened[str(track.index)], AUDIO, codec, plan, plan.start_s)


def _hls_output(track: Chain, name: str, codec: Mapping[str, Any], plan: Plan, start_s: Fraction) -> Chain:
    options = {
        **codec,
        "map_metadata": -1,
        "map_chapters": -1,
        "t": _us(plan.duration_s + _OVERTIME_S),
        "output_ts_offset": _us(start_s),
        "f": "hls",
        "hls_time": f"{plan.segment_s:g}",
        "hls_playlist_type": "vod",
        "hls_segment_type": "fmp4",
        "hls_flags": "independent_segments",
        "hls_segment_options": _SEGMENT_OPTIONS,
        "hls_fmp4_init_filename": "init.mp4",
        "hls_segment_filename": f"{FOLDER}/{name}/%05d.m4s",
    }
    return ffmpeg.output(track, f"{FOLDER}/{name}/{PLAYLIST}", **options)


@dataclass(frozen=True)
class Transcoder:
    """Encodes, proves and describes an HLS ladder."""

    runner: Runner
    #: By name.
    profiles: Mapping[str, Profile]

    async def process(self, work: Work) -> TranscodeOutputs:
        """The ladder below `hls/`, of what can be decoded. Raises InvalidMedia when that is nothing."""
        profile = self._profile(params_of(work, TranscodeParams).profile)
        media = outputs_of(work, "probe", ProbeOutputs)
        source = await self.runner.readable(work.source, work.scratch)
        encode = Encode(self.runner, work, source, media, profile)
        try:
            ladder = await encode.ladder(media, plan(media, profile))
            damage = await encode.damage()
            if "sound" in damage and damage["sound"].spans:
                ladder = await encode.with_exact_sound(ladder)
        except (CorruptMedia, Fault):
            damage = await encode.damage()
            if not any(one.spans for one in damage.values()):
                raise
            await asyncio.to_thread(shutil.rmtree, work.output / FOLDER)
            media = decodable(media, damage)
            ladder = await encode.ladder(media, plan(media, profile, is_filled=True), exact_sound=True)
        variants = _variants(ladder, media)
        master = work.output / FOLDER / "master.m3u8"
        await asyncio.to_thread(master.write_text, master_playlist(*variants))
        work.report(1.0, {})
        return _outputs(work, ladder, variants, _warnings(damage, media.duration_s))

    def _profile(self, name: str) -> Profile:
        if name not in self.profiles:
            raise InvalidParams(
                f"There is no transcode profile {name!r}; there are: {', '.join(sorted(self.profiles))}."
            )
        return self.profiles[name]


class Ladder(NamedTuple):
    """A validated encode."""

    plan: Plan
    videos: list[ValidatedRendition]
    audio: ValidatedRendition | None


@dataclass(frozen=True)
class Encode:
    """The encodes of one attempt, and what their decoders complained about."""

    runner: Runner
    work: Work
    source: Path
    media: ProbeOutputs
    profile: Profile
    complaints: Complaints = field(default_factory=Complaints)

    async def ladder(self, media: ProbeOutputs, planned: Plan, *, exact_sound: bool = False) -> Ladder:
        """Write and validate the renditions of the tracks in `media`."""
        for name in [*(size.name for size in planned.sizes), *([AUDIO] if media.audio else [])]:
            (self.work.output / FOLDER / name).mkdir(parents=True, exist_ok=True)
        await self._run(media, planned, exact_sound=exact_sound or media.clock_jumps)
        expected = _expected(media, self.profile, planned)
        return Ladder(planned, *await asyncio.to_thread(_prove, self.work.output / FOLDER, *expected))

    async def with_exact_sound(self, ladder: Ladder) -> Ladder:
        """Encode the sound again, now with silence for every packet that is lost: small gaps add up to an offset."""
        await asyncio.to_thread(shutil.rmtree, self.work.output / FOLDER / AUDIO)
        sound = msgspec.structs.replace(self.media, video=None)
        exact = await self.ladder(sound, replace(ladder.plan, sizes=()), exact_sound=True)
        return ladder._replace(audio=exact.audio)

    async def _run(self, media: ProbeOutputs, planned: Plan, *, exact_sound: bool) -> None:
        work, limits = self.work, self.runner.limits
        args = transcode_args(self.source, media, self.profile, planned, cpus=work.cpus, max_pixels=limits.max_pixels)
        progress = Progress(media.duration_s, lambda done: work.report(done * _ENCODE_SHARE, {}))
        command = Command(
            argv=ffmpeg_argv(args, work.cpus, exact_sound=exact_sound),
            access=FileAccess(reads=(self.source,), writes=(work.output,), cwd=work.output),
            timeout_s=limits.tool_timeout_s(media.duration_s),
            cpus=work.cpus,
            nice=NICE_HEAVY,
        )
        await self.runner.run(command, progress.feed, self.complaints.feed)

    async def damage(self) -> dict[str, TrackDamage]:
        """The damage of picture and sound; decodes them once more if there were complaints."""
        tracks = {"picture": self.media.video, "sound": self.media.audio}
        if not self.complaints.count:
            return {}
        scan = partial(track_damage, self.runner, self.source, self.media, threads=self.work.cpus, nice=NICE_HEAVY)
        return {what: await scan(track) for what, track in tracks.items() if track}


def decodable(media: ProbeOutputs, damage: Mapping[str, TrackDamage]) -> ProbeOutputs:
    """The media without tracks of which nothing can be decoded. Raises CorruptMedia if none is left."""
    lost = {what for what, one in damage.items() if not one.decodable}
    video, audio = (
        None if what in lost else track for what, track in (("picture", media.video), ("sound", media.audio))
    )
    if not video and not audio:
        raise CorruptMedia(_NOTHING)
    return msgspec.structs.replace(media, video=video, audio=audio)


def _warnings(damage: Mapping[str, TrackDamage], duration_s: float) -> tuple[OutputWarning, ...]:
    return tuple(chain.from_iterable(damage_warnings(what, one.spans, duration_s) for what, one in damage.items()))


def _expected(media: ProbeOutputs, profile: Profile, planned: Plan) -> tuple[list[Expected], Expected | None]:
    every = partial(Expected, duration_s=planned.duration_s)
    pictures = partial(every, has_pictures=True, first_shown_s=planned.start_s + planned.phase_s)
    rate_hz = profile.audio.sample_rate_hz
    sound = every(
        name=AUDIO,
        has_pictures=False,
        frame_s=Fraction(_AAC_FRAME, rate_hz),
        first_shown_s=planned.start_s - Fraction(_AAC_PRIMING, rate_hz),
    )
    videos = [pictures(name=size.name, frame_s=1 / planned.rate) for size in planned.sizes]
    return videos, sound if media.audio else None


def _prove(
    folder: Path, videos: list[Expected], sound: Expected | None
) -> tuple[list[ValidatedRendition], ValidatedRendition | None]:
    proven = [prove(folder / one.name, one) for one in videos]
    prove_together(proven)
    return proven, prove(folder / sound.name, sound) if sound else None


def _variants(ladder: Ladder, media: ProbeOutputs) -> tuple[list[Variant], Variant | None]:
    planned, audio = ladder.plan, ladder.audio
    pictures = [
        Variant(**_measured(video), width_px=size.width_px, height_px=size.height_px, fps=float(planned.rate))
        for video, size in zip(ladder.videos, planned.sizes, strict=True)
    ]
    language = media.audio.language if media.audio else None
    return pictures, Variant(**_measured(audio), language=language) if audio else None


def _measured(proven: ValidatedRendition) -> dict[str, Any]:
    return {
        "name": proven.name,
        "uri": f"{proven.name}/{PLAYLIST}",
        "codecs": proven.init.codec,
        "peak_bps": proven.peak_bps,
        "average_bps": proven.average_bps,
    }


def _outputs(
    work: Work,
    ladder: Ladder,
    variants: tuple[list[Variant], Variant | None],
    warnings: tuple[OutputWarning, ...],
) -> TranscodeOutputs:
    measured = [*ladder.videos, *([ladder.audio] if ladder.audio else [])]
    listed = [*variants[0], *([variants[1]] if variants[1] else [])]
    return TranscodeOutputs(
        master=work.key(f"{FOLDER}/master.m3u8"),
        duration_s=ladder.plan.duration_s,
        start_s=float(ladder.plan.start_s),
        renditions=tuple(_rendition(work, one, variant) for one, variant in zip(measured, listed, strict=True)),
        warnings=warnings,
    )


def _rendition(work: Work, proven: ValidatedRendition, variant: Variant) -> Rendition:
    return Rendition(
        name=variant.name,
        playlist=work.key(f"{FOLDER}/{variant.uri}"),
        codecs=variant.codecs,
        peak_bps=variant.peak_bps,
        average_bps=variant.average_bps,
        segments=len(proven.fragments),
        width_px=variant.width_px or None,
        height_px=variant.height_px or None,
        fps=round(variant.fps, 3) or None,
    )


def _ratio(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"


def _us(duration_s: float | Fraction) -> str:
    """Seconds as ffmpeg reads them, without an exponent."""
    return f"{float(duration_s):.6f}"

"""The step `transcode`: an adaptive HLS ladder from one decode, proven before it is handed on."""

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from processors.contract import Work, outputs_of, params_of
from processors.damage import Complaints, TrackDamage, damage_of_tracks, decodable, warnings_of_tracks
from processors.errors import CorruptMedia, Fault, InvalidParams
from processors.media.encode_validation import PLAYLIST, Expected, ValidatedRendition, prove, prove_together
from processors.media.hls import Variant, master_playlist
from processors.media.profiles import Profile
from processors.media.transcode_plan import Plan, plan
from processors.renditions import AUDIO, FOLDER, transcode_args
from processors.tools.cpu_priority import NICE_HEAVY
from processors.tools.ffmpeg import Progress, ffmpeg_argv
from processors.tools.runner import Command, Runner
from processors.tools.sandbox import FileAccess
from schemas.base import OutputWarning
from schemas.probe import ProbeOutputs
from schemas.transcode import Rendition, TranscodeOutputs, TranscodeParams

#: Samples in an AAC-LC frame. Source: ISO/IEC 14496-3.
_AAC_FRAME = 1024
#: Samples that ffmpeg's AAC encoder puts before the first one of the source; players decode and play them, as silence.
#: Source: libavcodec/aacenc.c, initial_padding.
_AAC_PRIMING = 1024
#: Share of the progress that is the encode; the rest is the proof.
_ENCODE_SHARE = 0.98


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
        return _outputs(work, ladder, variants, warnings_of_tracks(damage, media.duration_s))

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
        if not self.complaints.count:
            return {}
        return await damage_of_tracks(self.runner, self.source, self.media, threads=self.work.cpus)


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

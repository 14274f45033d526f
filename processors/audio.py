"""The step `audio`: audio at a common loudness, for listeners and for models."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import ffmpeg

from processors.contract import Work, outputs_of, params_of
from processors.damage import Complaints, TrackDamage, track_damage
from processors.errors import CorruptMedia, OutputIncomplete, OutputInvalid, Skipped
from processors.media.channels import LEVELS, MIDDLE_AND_SIDE, ONE_SIDE, is_cancelled, mixed
from processors.media.damage import damage_warnings
from processors.media.loudness import (
    Aim,
    Filter,
    Loudness,
    first_aim,
    measuring,
    miss,
    next_aim,
    normalising,
    read_loudness,
)
from processors.media.tracks import seconds
from processors.media.video_filters import Chain
from processors.tools.cpu_priority import NICE_LIGHT
from processors.tools.ffmpeg import AAC, Progress, ffmpeg_argv, ffprobe_argv, ffprobe_json, file_url, input_options
from processors.tools.runner import Command, Runner, ignore
from processors.tools.sandbox import FileAccess
from schemas.audio import AudioOutputs, AudioParams
from schemas.probe import AudioTrack, ProbeOutputs

AUDIO, SPEECH = "audio.m4a", "speech.wav"
_DAMAGED = "The sound of the file is damaged: nothing of it can be decoded. Export or upload it again."
NO_SOUND, SILENCE = "no-audio-track", "silence"
RATE_HZ, SPEECH_RATE_HZ = 48_000, 16_000
#: AAC-LC, per channel.
_BIT_RATE_BPS = 80_000
#: At this bit rate the simple coder has a third of the error for speech, and peaks stay where the limiter put them: the
#: default one raised those of beeps and joins by 4 dB. Source: ffmpeg-codecs(1), aac_coder; measured with ffmpeg 5.1.
_CODER = {"aac_coder": "fast"}
#: How much shorter than the media the files may be, and how much longer: parts of a broadcast may overlap where the
#: form of their sound changes, and all of it is kept.
_SHORT_S, _LONG_S = 0.05, 0.5
#: Share of progress of the first pass, which only decodes.
_MEASURE_SHARE = 0.3
#: Progress at the end of the second pass, after which the result is measured.
_WRITE_SHARE = 0.9
#: Below what is heard: a constant offset takes the room of the sound.
_OFFSET_HZ = 10
#: Tries to reach the target loudness.
_AIMS = 4
#: One thread: the transcode is more urgent.
_THREADS = 1


def selected_tracks(media: ProbeOutputs, languages: Sequence[str]) -> tuple[AudioTrack, ...]:
    """The selected tracks: one, or several mono ones of one recording. Empty without audio.

    First by language, in the order of `languages`. Among the rest, several mono tracks of one language are microphones
    of one recording and are mixed at equal gain; otherwise the default track, the one with most channels, or the first.
    """
    tracks = media.sounds or ((media.audio,) if media.audio else ())
    for language in languages:
        spoken = tuple(track for track in tracks if track.language == language)
        if spoken:
            tracks = spoken
            break
    if len(tracks) > 1 and all(t.channels == 1 for t in tracks) and len({t.language for t in tracks}) == 1:
        return tracks
    return tuple(sorted(tracks, key=lambda t: (not t.default, -t.channels, t.index))[:1])


def channels_of(tracks: Sequence[AudioTrack]) -> int:
    """Channels of the result: at most stereo."""
    return min(2, max(track.channels for track in tracks))


def measure_args(source: Path, media: ProbeOutputs, tracks: Sequence[AudioTrack]) -> list[str]:
    """ffmpeg arguments of the first pass, which measures the source: loudness, and the levels of its sides."""
    sound = _sound(source, media, tracks)
    if channels_of(tracks) == 1:
        outputs = [ffmpeg.output(sound.filter("ebur128", **measuring()), "-", f="null")]
    else:
        copies = sound.filter_multi_output("asplit", 2)
        loudness = copies[0].filter("ebur128", **measuring())
        sides = filtered(copies[1], MIDDLE_AND_SIDE, LEVELS)
        outputs = [ffmpeg.output(one, "-", f="null") for one in (loudness, sides)]
    compiled: list[str] = ffmpeg.merge_outputs(*outputs).get_args()
    return compiled


def check_args(path: Path) -> list[str]:
    """ffmpeg arguments to measure a written file."""
    measured = ffmpeg.input(file_url(path), **input_options("mov")).filter("ebur128", **measuring())
    compiled: list[str] = ffmpeg.output(measured, "-", f="null").get_args()
    return compiled


def audio_args(
    source: Path,
    media: ProbeOutputs,
    tracks: Sequence[AudioTrack],
    normalise: Sequence[Filter],
    *,
    mono: Sequence[Filter] = (),
) -> list[str]:
    """ffmpeg arguments of the second pass: both files from one decode. `mono`: filters that give models one channel."""
    sound = filtered(_sound(source, media, tracks), *normalise)
    shaped = _shaped(sound, tracks)  # the limiter works at 192 kHz
    copies = shaped.filter_multi_output("asplit", 2)
    models = filtered(copies[1], *mono).filter(
        "aformat", sample_fmts="s16", sample_rates=SPEECH_RATE_HZ, channel_layouts="mono"
    )
    channels = channels_of(tracks)
    clean = {"map_metadata": -1, "map_chapters": -1, "threads": _THREADS}
    aac = {**AAC, **_CODER, "b:a": _BIT_RATE_BPS * channels, "movflags": "+faststart", "f": "ipod"}
    outputs = [
        ffmpeg.output(copies[0], AUDIO, **clean, **aac),
        ffmpeg.output(models, SPEECH, **clean, **{"c:a": "pcm_s16le", "f": "wav", "flags": "+bitexact"}),
    ]
    compiled: list[str] = ffmpeg.merge_outputs(*outputs).get_args()
    return compiled


def _sound(source: Path, media: ProbeOutputs, tracks: Sequence[AudioTrack]) -> Chain:
    """The tracks as one, over the whole media: gaps and a late start are silence."""
    opened = ffmpeg.input(file_url(source), **input_options(media.demuxer), threads=_THREADS, vn=None)
    steady = [filtered(opened[str(t.index)], *mixed(t.channels)).filter("aresample", RATE_HZ) for t in tracks]
    joint = steady[0]
    if len(steady) > 1:
        joint = ffmpeg.filter(steady, "amix", inputs=len(steady), duration="longest", normalize=0)
    whole = f"{media.duration_s:.6f}"
    centred = _shaped(joint, tracks).filter("highpass", f=_OFFSET_HZ)
    return centred.filter("apad", whole_dur=whole).filter("atrim", end=whole)


def filtered(sound: Chain, *filters: Filter) -> Chain:
    """The sound behind the filters."""
    for name, options in filters:
        sound = sound.filter(name, **options)
    return sound


def _shaped(sound: Chain, tracks: Sequence[AudioTrack]) -> Chain:
    layout = "stereo" if channels_of(tracks) > 1 else "mono"
    return sound.filter("aformat", sample_fmts="fltp", sample_rates=RATE_HZ, channel_layouts=layout)


@dataclass(frozen=True)
class AudioMaker:
    """Writes the audio files, at low priority."""

    runner: Runner

    async def process(self, work: Work) -> AudioOutputs:
        """Write both files. Raises Skipped without audible audio, InvalidMedia if it cannot be decoded."""
        params, media = params_of(work, AudioParams), outputs_of(work, "probe", ProbeOutputs)
        tracks = selected_tracks(media, params.languages)
        if not tracks:
            raise Skipped(NO_SOUND)
        source = await self.runner.readable(work.source, work.scratch)
        session = _Session(self.runner, work, source, media, tracks, exact_sound=media.clock_jumps)
        stderr = await session.measure()
        damage = await session.damage()
        if any(one.spans for one in damage):
            session = replace(session, exact_sound=True)
        before = read_loudness(stderr)
        if before.is_silence:
            raise CorruptMedia(_DAMAGED) if damage and not any(one.decodable for one in damage) else Skipped(SILENCE)
        if channels_of(tracks) > 1 and is_cancelled(stderr):
            session = replace(session, mono=(ONE_SIDE,))
        after = await _written(session, before, params)
        duration_s = await session.validate()
        work.report(1.0, {})
        return AudioOutputs(
            audio=work.key(AUDIO),
            speech=work.key(SPEECH),
            duration_s=duration_s,
            tracks=tuple(track.index for track in tracks),
            language=tracks[0].language,
            channels=channels_of(tracks),
            source_lufs=before.lufs if before.is_measured else None,
            lufs=after.lufs if after else None,
            warnings=damage_warnings("sound", [span for one in damage for span in one.spans], media.duration_s),
        )


async def _written(session: "_Session", before: Loudness, params: AudioParams) -> Loudness | None:
    """Write the files and return their loudness; None for audio too short to measure, which is not normalised."""
    if before.is_measured:
        return await session.normalise(before, params)
    await session.write(())
    return None


@dataclass(frozen=True)
class _Session:
    """One attempt with everything that its passes need."""

    runner: Runner
    work: Work
    source: Path
    media: ProbeOutputs
    tracks: tuple[AudioTrack, ...]
    #: Filters that make one channel of two for models; without any, the mean of both.
    mono: tuple[Filter, ...] = ()
    #: Whether every lost packet becomes silence: small gaps add up to an offset.
    exact_sound: bool = False
    complaints: Complaints = field(default_factory=Complaints)

    async def measure(self) -> str:
        """Measure the source. Returns ffmpeg's stderr."""
        args = measure_args(self.source, self.media, self.tracks)
        return await self._run(args, 0.0, _MEASURE_SHARE, self.complaints.feed)

    async def damage(self) -> list[TrackDamage]:
        """The damage of each track; decodes them once more if there were complaints."""
        scan = partial(track_damage, self.runner, self.source, self.media, threads=_THREADS, nice=NICE_LIGHT)
        return [await scan(track) for track in self.tracks] if self.complaints.count else []

    async def normalise(self, before: Loudness, params: AudioParams) -> Loudness:
        """Write both files at the target loudness, or the best of some tries. Returns their loudness."""
        target = (params.target_lufs, params.peak_dbtp)
        aim = first_aim(before, *target)
        tries: list[tuple[float, Aim, Loudness]] = []
        for _ in range(_AIMS):
            reached = await self._try(aim, before)
            tries.append((miss(reached, *target), aim, reached))
            if not tries[-1][0]:
                return reached
            aim = next_aim(aim, before, reached, *target)
        _, best, reached = min(tries, key=lambda tried: tried[0])
        return reached if best is tries[-1][1] else await self._try(best, before)

    async def _try(self, aim: Aim, before: Loudness) -> Loudness:
        """Write both files with one aim, and measure them."""
        await self.write(normalising(aim, before))
        return read_loudness(await self._run(check_args(self.work.output / AUDIO), _WRITE_SHARE, 1.0))

    async def write(self, normalise: Sequence[Filter]) -> None:
        """Write both files."""
        args = audio_args(self.source, self.media, self.tracks, normalise, mono=self.mono)
        await self._run(args, _MEASURE_SHARE, _WRITE_SHARE)

    async def _run(
        self, args: list[str], from_share: float, to_share: float, on_stderr: Callable[[bytes], None] = ignore
    ) -> str:
        """Run one pass, and return its stderr."""
        span = to_share - from_share
        progress = Progress(self.media.duration_s, lambda done: self.work.report(from_share + done * span, {}))
        command = Command(
            argv=ffmpeg_argv(
                args, _THREADS, loglevel="level+info", exact_sound=self.exact_sound or self.media.clock_jumps
            ),
            access=FileAccess(reads=(self.source,), writes=(self.work.output,), cwd=self.work.output),
            timeout_s=self.runner.limits.tool_timeout_s(self.media.duration_s),
            nice=NICE_LIGHT,
        )
        return await self.runner.run(command, progress.feed, on_stderr)

    async def validate(self) -> float:
        """Check that the files span the media, and return their duration. Raises OutputInvalid."""
        durations_s = [await self._duration_s(name, demuxer) for name, demuxer in ((AUDIO, "mov"), (SPEECH, "wav"))]
        for name, duration_s in zip((AUDIO, SPEECH), durations_s, strict=True):
            if not -_SHORT_S <= duration_s - self.media.duration_s <= _LONG_S:
                raise OutputInvalid(f"{name} lasts {duration_s:.2f} s of {self.media.duration_s:.2f} s.")
        return round(durations_s[0], 3)

    async def _duration_s(self, name: str, demuxer: str) -> float:
        path = self.work.output / name
        if path.is_symlink() or not await asyncio.to_thread(path.is_file):
            raise OutputIncomplete(f"{name} was not written.")
        argv = ffprobe_argv(path, input_options(demuxer), "-show_format", "-of", "json")
        output: dict[str, Any] = await ffprobe_json(self.runner, path, argv, self.runner.limits.tool_time_s)
        return seconds(output.get("format", {}).get("duration")) or 0.0

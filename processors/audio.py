"""The step `audio`: audio at a common loudness, for listeners and for models."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from processors.contract import Work, outputs_of, params_of
from processors.damage import Complaints, TrackDamage, track_damage
from processors.errors import CorruptMedia, OutputIncomplete, OutputInvalid, Skipped
from processors.media.channels import ONE_SIDE, is_cancelled
from processors.media.damage import damage_warnings
from processors.media.loudness import (
    Aim,
    Filter,
    Loudness,
    first_aim,
    miss,
    next_aim,
    normalising,
    read_loudness,
)
from processors.media.tracks import seconds
from processors.sound_files import (
    AUDIO,
    SPEECH,
    THREADS,
    audio_args,
    channels_of,
    check_args,
    measure_args,
    selected_tracks,
)
from processors.tools.cpu_priority import NICE_LIGHT
from processors.tools.ffmpeg import Progress, ffmpeg_argv, ffprobe_argv, ffprobe_json, input_options
from processors.tools.runner import Command, Runner, ignore
from processors.tools.sandbox import FileAccess
from schemas.audio import AudioOutputs, AudioParams
from schemas.probe import AudioTrack, ProbeOutputs

_DAMAGED = "The sound of the file is damaged: nothing of it can be decoded. Export or upload it again."
NO_SOUND, SILENCE = "no-audio-track", "silence"
#: How much shorter than the media the files may be, and how much longer: parts of a broadcast may overlap where the
#: form of their sound changes, and all of it is kept.
_SHORT_S, _LONG_S = 0.05, 0.5
#: Share of progress of the first pass, which only decodes.
_MEASURE_SHARE = 0.3
#: Progress at the end of the second pass, after which the result is measured.
_WRITE_SHARE = 0.9
#: Tries to reach the target loudness.
_AIMS = 4


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
        scan = partial(track_damage, self.runner, self.source, self.media, threads=THREADS, nice=NICE_LIGHT)
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
                args, THREADS, loglevel="level+info", exact_sound=self.exact_sound or self.media.clock_jumps
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

"""ffmpeg's command lines for sound: measuring it, and writing the files for listeners and for models."""

from collections.abc import Sequence
from pathlib import Path

import ffmpeg

from processors.media.channels import LEVELS, MIDDLE_AND_SIDE, mixed
from processors.media.loudness import Filter, measuring
from processors.media.video_filters import Chain
from processors.tools.ffmpeg import AAC, file_url, input_options
from schemas.probe import AudioTrack, ProbeOutputs

AUDIO, SPEECH = "audio.m4a", "speech.wav"
RATE_HZ, SPEECH_RATE_HZ = 48_000, 16_000
#: AAC-LC, per channel.
_BIT_RATE_BPS = 80_000
#: At this bit rate the simple coder has a third of the error for speech, and peaks stay where the limiter put them: the
#: default one raised those of beeps and joins by 4 dB. Source: ffmpeg-codecs(1), aac_coder; measured with ffmpeg 5.1.
_CODER = {"aac_coder": "fast"}
#: Below what is heard: a constant offset takes the room of the sound.
_OFFSET_HZ = 10
#: One thread: the transcode is more urgent.
THREADS = 1


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
    clean = {"map_metadata": -1, "map_chapters": -1, "threads": THREADS}
    aac = {**AAC, **_CODER, "b:a": _BIT_RATE_BPS * channels, "movflags": "+faststart", "f": "ipod"}
    outputs = [
        ffmpeg.output(copies[0], AUDIO, **clean, **aac),
        ffmpeg.output(models, SPEECH, **clean, **{"c:a": "pcm_s16le", "f": "wav", "flags": "+bitexact"}),
    ]
    compiled: list[str] = ffmpeg.merge_outputs(*outputs).get_args()
    return compiled


def _sound(source: Path, media: ProbeOutputs, tracks: Sequence[AudioTrack]) -> Chain:
    """The tracks as one, over the whole media: gaps and a late start are silence."""
    opened = ffmpeg.input(file_url(source), **input_options(media.demuxer), threads=THREADS, vn=None)
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

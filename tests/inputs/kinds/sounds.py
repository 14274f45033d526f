"""Sound: how loud, where from, how sampled. What is right is -16 LUFS within 1 LU and no peak above -1 dBTP."""

from typing import Any

import numpy as np

from tests.inputs.expected import Input, Make, Part, Plays, plays_sound
from tests.inputs.recipes import SECONDS, copied, lavfi, sound, speech
from tests.inputs.tone import RATE_HZ

_SENTENCE = "The quick brown fox jumps over the lazy dog. Then it went home and slept until the morning came."


def _gained(factor: float) -> Any:
    return lambda bed: np.clip(bed * factor, -1.0, 1.0)


def _sides(left: float, right: float) -> Any:
    return lambda bed: np.stack([bed * left, bed * right], axis=1)


def _with_pauses(bed: Any) -> Any:
    """A second of sound, then two of silence, and so on."""
    return np.where((np.arange(len(bed)) // RATE_HZ) % 3 == 0, bed, 0.0)


def _with_clicks(bed: Any) -> Any:
    """A tenth of its level, and a loud sample in every second."""
    return np.where(np.arange(len(bed)) % RATE_HZ == RATE_HZ // 2, 0.66, bed * 0.1)


def _made(name: str, file: str, source: str, seconds: float) -> Input:
    expected = plays_sound(seconds, has_pitch=False)
    return Input(name=f"sounds/{name}", make=lavfi(file, f"-f lavfi -i {source}"), expected=expected)


def _bed(name: str, file: str, encoded: str = "", shape: Any = lambda bed: bed, **more: Any) -> Input:
    seconds = more.pop("seconds", SECONDS)
    make = sound(file, encoded, shape=shape, seconds=seconds)
    return Input(name=f"sounds/{name}", make=make, expected=plays_sound(seconds, duration_slack_s=0.15, **more))


def _spoken(name: str, file: str, encoded: str, seconds: float, make: Make | None = None) -> Input:
    """A voice: peaky, with pauses; there is no bed to tell the time."""
    made = make or speech(_SENTENCE, file, encoded)
    expected = plays_sound(seconds, has_pitch=False, duration_slack_s=1.5)
    return Input(name=f"sounds/{name}", make=made, expected=expected)


INPUTS = (
    _bed("quiet", "quiet.wav", shape=_gained(0.01)),
    # Report: tphakala/birdnet-go#3979
    _bed("very quiet", "whisper.flac", "-c:a flac -sample_fmt s32 -af volume=-20dB", shape=_gained(0.05)),
    # Report: csteinmetz1/pyloudnorm#35
    _bed("clipped", "loud.wav", shape=_gained(20.0)),
    _bed("peaks above full scale", "loud.wav", "-c:a pcm_f32le -af volume=12dB"),
    # Report: suitenumerique/meet#927
    _bed("left side only", "left.m4a", "-c:a aac", _sides(1.0, 0.0)),
    _bed("right side only", "right.m4a", "-c:a aac", _sides(0.0, 1.0)),
    # Report: m-bain/whisperX#750
    _bed("opposite phase", "opposite.m4a", "-c:a aac", _sides(1.0, -1.0)),
    _bed("8 kHz", "telephone.wav", "-ar 8000"),
    _bed("8 kHz, A-law", "telephone.wav", "-ar 8000 -c:a pcm_alaw"),
    _bed("11 kHz, 8 bits", "old.wav", "-ar 11025 -c:a pcm_u8"),
    _bed("96 kHz", "studio.flac", "-ar 96000"),
    _bed("192 kHz, 24 bits", "studio.wav", "-ar 192000 -c:a pcm_s24le"),
    _bed("floating point", "studio.wav", "-c:a pcm_f64le"),
    _bed("constant offset", "offset.wav", shape=lambda bed: np.clip(bed * 0.5 + 0.4, -1.0, 1.0)),
    _bed(
        "long pauses",
        "pauses.flac",
        shape=_with_pauses,
        seconds=9.0,
        sound=tuple(Part(float(at), float(at) if at % 3 == 0 else None) for at in range(9) if at % 3 < 2),
    ),
    _bed("50 ms", "click.wav", seconds=0.05, has_pitch=False, loudness=False),
    _bed("one second", "word.wav", seconds=1.2),
    # Report: ggml-org/whisper.cpp#3762
    Input(
        name="sounds/silence",
        make=lavfi("nothing.wav", "-f lavfi -i anullsrc=r=48000:cl=stereo -t 3"),
        expected=Plays(
            seconds=3.0,
            picture=None,
            sound=None,
            size=None,
            fps=(),
            skipped={"thumbnails": "no-video-track", "audio": "silence"},
        ),
    ),
    # Report: slhck/ffmpeg-normalize#146
    _spoken("speech, then silence", "memo.mp3", "-af apad=pad_dur=30 -c:a libmp3lame -b:a 48k", 37.0),
    _spoken("speech at 8 kHz", "call.wav", "-ar 8000", 7.0),
    # Report: slhck/ffmpeg-normalize#141
    _spoken("peaky speech", "peaky.wav", "-af 'compand=attacks=0:points=-80/-120|-20/-40|0/0,volume=6dB'", 7.0),
    # Report: shaka-project/shaka-packager#498
    Input(
        name="sounds/last segment of a moment",
        make=lavfi("noise.mp3", "-f lavfi -i anoisesrc=c=pink:a=0.2:d=20 -c:a libmp3lame -b:a 64k"),
        expected=plays_sound(20.0, has_pitch=False, duration_slack_s=0.15),
    ),
    # Report: Chocobozzz/PeerTube#2625
    Input(
        name="sounds/loud end",
        make=copied(
            "end.flac", "-i {0} -af \"volume='if(gt(t,4),1,0.02)':eval=frame\"", sound("even.flac", seconds=6.0)
        ),
        expected=plays_sound(6.0, has_pitch=False),
    ),
    # Report: nu774/qaac#31
    _made("full-scale tone", "tone.wav", "aevalsrc=sin(2*PI*2000*t):s=48000:d=4", 4.0),
    # Report: heygen-com/hyperframes#3644
    _made(
        "square wave and tone", "buzz.wav", "'aevalsrc=0.8*sgn(sin(2*PI*440*t))|0.6*sin(2*PI*997*t):s=48000:d=4'", 4.0
    ),
    # Report: jiixyj/loudness-scanner#22
    _bed("MP3 whose peaks are above full scale", "loud.mp3", "-c:a libmp3lame -b:a 128k", shape=_gained(20.0)),
    # Report: music-assistant/server#5101
    _bed("quiet with clicks", "vinyl.flac", shape=_with_clicks),
    # Report: obsproject/obs-studio#12490, miraclx/freyr-js#359
    _spoken("high voice", "voice.wav", "", 7.0, speech(_SENTENCE, "voice.wav", voice="en-us+f5")),
)

"""Damage on the way: bytes that were overwritten, lost or never written. What a player plays of it is published."""

from typing import Any

from tests.inputs.damaging import flips, lost, noise, of_track, shares, stretch, zeros
from tests.inputs.expected import WHOLE, Damage, Input, Part, Plays, Refused, Timeline, plays_sound
from tests.inputs.recipes import cut, film, sound
from tests.inputs.workshop import BT709, H264_AAC, H264_TS

_SECONDS = 12.0
#: The damaged stretch, and when a keyframe has come again.
_FROM_S, _TO_S, _GOOD_S = 4.4, 6.2, 7.0
_FLASHES_S = (1.0, 2.0, 8.0, 9.0, 10.0)
#: Whatever is left of the damaged stretch; around it everything is at its time.
_AROUND: Timeline = (Part(0.0, 0.0), Part(_FROM_S - 0.5, None, is_judged=False), Part(_GOOD_S, _GOOD_S))
_WARNED = (Damage("media-damaged", _FROM_S - 0.6, _GOOD_S + 0.2, 1.0),)
_LACKS_BYTES = Damage("media-incomplete", 0.0, 0.0, -1.0)
_FAST = " -movflags +faststart"
_AVI = f"{BT709} -c:v mpeg4 -q:v 3 -g 25 -c:a libmp3lame -b:a 96k"
_WEBM = f"{BT709} -c:v libvpx -deadline realtime -cpu-used 8 -b:v 1M -g 25 -c:a libopus"
#: AVI has no place for the delay of an MP3 encoder.
_AVI_SYNC_S = 0.03
_SOUND_S = 8.0


def _film(name: str, encoded: str = H264_AAC + _FAST) -> Any:
    return film(name, encoded, seconds=_SECONDS, flashes_s=_FLASHES_S)


def _plays(seconds: float = _SECONDS, **more: Any) -> Plays:
    return Plays(**{"seconds": seconds, "picture": _AROUND, "sound": _AROUND, "warnings": _WARNED, **more})


def _cut_off(seconds: float, of_s: float = _SECONDS, **more: Any) -> Plays:
    truncated = (Damage("media-truncated", seconds - 0.4, of_s + 0.3),)
    return Plays(**{"seconds": seconds, "duration_slack_s": 0.4, "warnings": truncated, **more})


_mp4 = _film("film.mp4")
_mkv = _film("film.mkv", H264_AAC)
_ts = _film("film.ts", H264_TS)
_avi = _film("film.avi", _AVI)
_mp3 = sound("sound.mp3", "-c:a libmp3lame -b:a 128k", seconds=_SOUND_S)
_m4a = sound("sound.m4a", "-c:a aac -b:a 96k -movflags +faststart", seconds=_SOUND_S)

INPUTS = (
    # Report: jellyfin/jellyfin-web#5036
    Input(
        name="damage/MP4, bytes overwritten", make=stretch("hurt.mp4", noise, _FROM_S, _TO_S, _mp4), expected=_plays()
    ),
    Input(
        name="damage/MP4, a block of zeros", make=stretch("hurt.mp4", zeros, _FROM_S, _TO_S, _mp4), expected=_plays()
    ),
    Input(name="damage/MP4, wrong bits", make=stretch("hurt.mp4", flips, _FROM_S, _TO_S, _mp4), expected=_plays()),
    Input(
        name="damage/MP4, picture only",
        make=of_track("v", noise, _FROM_S, _TO_S, _mp4),
        expected=_plays(sound=WHOLE),
    ),
    # Report: Purfview/whisper-standalone-win#544
    Input(
        name="damage/MP4, sound only",
        make=of_track("a", noise, _FROM_S, _TO_S, _mp4),
        expected=_plays(picture=WHOLE, warnings=(Damage("media-damaged", _FROM_S - 0.6, _TO_S + 0.4),)),
    ),
    Input(
        name="damage/MP4, all of the sound",
        make=of_track("a", zeros, -1.0, _SECONDS + 1, _mp4),
        expected=_plays(
            picture=WHOLE,
            sound=None,
            failed={"audio": "corrupt-media"},
            warnings=(Damage("media-damaged", 0.0, _SECONDS),),
        ),
    ),
    Input(
        name="damage/MP4, all of the picture",
        make=of_track("v", zeros, -1.0, _SECONDS + 1, _mp4),
        expected=_plays(
            picture=None,
            sound=WHOLE,
            size=None,
            fps=(),
            sync_s=None,
            failed={"thumbnails": "corrupt-media"},
            warnings=(Damage("media-damaged", 0.0, _SECONDS),),
        ),
    ),
    Input(
        name="damage/MP4, all of it",
        make=stretch("hurt.mp4", zeros, -1.0, _SECONDS + 1, _mp4),
        expected=Refused(code="corrupt-media", patterns=("damaged",)),
    ),
    Input(
        name="damage/MP4, the last third of picture and sound",
        make=stretch("hurt.mp4", zeros, 8.5, _SECONDS + 1, _mp4),
        expected=_plays(
            picture=(Part(0.0, 0.0), Part(8.3, None, is_judged=False)),
            sound=(Part(0.0, 0.0), Part(8.3, None, is_judged=False)),
            thumbnails=4,  # the last one lies where there is no picture
            warnings=(Damage("media-damaged", 8.0, _SECONDS, 1.0),),
        ),
    ),
    # Report: jellyfin/jellyfin#12995
    Input(
        name="damage/Matroska, bytes overwritten",
        make=stretch("hurt.mkv", noise, _FROM_S, _TO_S, _mkv),
        expected=_plays(),
    ),
    Input(
        name="damage/Matroska, a block of zeros",
        make=stretch("hurt.mkv", zeros, _FROM_S, _TO_S, _mkv),
        expected=_plays(),
    ),
    Input(
        name="damage/Matroska, bytes lost",
        make=stretch("hurt.mkv", lost, _FROM_S, _TO_S, _mkv),
        expected=_plays(warnings=(*_WARNED, _LACKS_BYTES)),
    ),
    # Report: jellyfin/jellyfin#5570
    Input(name="damage/broadcast, packets lost", make=shares("hurt.ts", lost, 0.4, 0.5, _ts), expected=_plays()),
    # Report: tsduck/tsduck#1027
    Input(name="damage/broadcast, bytes overwritten", make=shares("hurt.ts", noise, 0.4, 0.5, _ts), expected=_plays()),
    Input(name="damage/broadcast, wrong bits", make=shares("hurt.ts", flips, 0.4, 0.5, _ts), expected=_plays()),
    Input(
        name="damage/AVI, a block of zeros",
        make=shares("hurt.avi", zeros, 0.4, 0.5, _avi),
        # Times in AVI are counts of what was found: what follows the damage plays earlier, picture with sound.
        expected=_cut_off(
            10.7,
            picture=(Part(0.0, 0.0), Part(_FROM_S - 0.5, None, is_judged=False)),
            sound=(Part(0.0, 0.0), Part(_FROM_S - 0.5, None, is_judged=False)),
            sync_s=_AVI_SYNC_S,
        ),
    ),
    Input(
        name="damage/WebM, bytes overwritten",
        make=stretch("hurt.webm", noise, _FROM_S, _TO_S, _film("film.webm", _WEBM)),
        expected=_plays(),
    ),
    # Report: jellyfin/jellyfin#7857
    Input(name="damage/MP4 cut off, index in front", make=cut("cut.mp4", 0.6, _mp4), expected=_cut_off(7.1)),
    Input(name="damage/Matroska cut off", make=cut("cut.mkv", 0.6, _mkv), expected=_cut_off(7.1)),
    Input(name="damage/AVI cut off", make=cut("cut.avi", 0.6, _avi), expected=_cut_off(7.1, sync_s=_AVI_SYNC_S)),
    Input(
        name="damage/MP4 cut off, index missing",
        make=cut("cut.mp4", 0.6, _film("film.mp4", H264_AAC)),
        expected=Refused(code="corrupt-media", patterns=("cut off",)),
    ),
    # Report: kaixxx/noScribe#229
    Input(
        name="damage/MP3, a block of zeros",
        make=shares("hurt.mp3", zeros, 0.4, 0.5, _mp3),
        expected=plays_sound(
            7.2,
            sound=(Part(0.0, 0.0), Part(3.0, None, is_judged=False)),
            duration_slack_s=1.0,
            warnings=(Damage("media-damaged", 3.0, 3.4),),
        ),
    ),
    # Report: SYSTRAN/faster-whisper#988
    Input(
        name="damage/M4A, its end overwritten",
        make=shares("hurt.m4a", noise, 0.75, 1.0, _m4a),
        expected=plays_sound(
            _SOUND_S,
            sound=(Part(0.0, 0.0), Part(5.6, None, is_judged=False)),
            warnings=(Damage("media-damaged", 5.4, _SOUND_S + 0.1),),
        ),
    ),
    # Report: SYSTRAN/faster-whisper#266
    Input(
        name="damage/M4A cut off",
        make=cut("cut.m4a", 0.6, _m4a),
        expected=plays_sound(4.8, duration_slack_s=0.4, warnings=(Damage("media-truncated", 4.4, _SOUND_S + 0.1),)),
    ),
    Input(
        name="damage/FLAC, bytes overwritten",
        make=shares("hurt.flac", noise, 0.4, 0.5, sound("sound.flac", seconds=_SOUND_S)),
        expected=plays_sound(
            _SOUND_S,
            sound=(Part(0.0, 0.0), Part(2.0, None, is_judged=False), Part(3.6, 3.6)),
            warnings=(Damage("media-damaged", 2.0, 3.6, 1.0),),
        ),
    ),
    Input(
        name="damage/WAV cut off",
        make=cut("cut.wav", 0.6, sound("sound.wav", seconds=_SOUND_S)),
        expected=plays_sound(4.8, warnings=(Damage("media-truncated", 4.6, _SOUND_S + 0.1),)),
    ),
    # Report: immich-app/immich#15765
    Input(
        name="damage/AVI whose picture has no frame",
        make=film("empty.avi", f"-map 1:a -map 0:v -frames:v 0 {_AVI}", seconds=3.0),
        expected=plays_sound(3.0, sound=WHOLE),
    ),
)

"""Time stamps: clocks that start late, wrap, jump and overlap; edit lists; tracks that are not of one length."""

from pathlib import Path

from tests.inputs.expected import Damage, Input, Part, Plays
from tests.inputs.recipes import copied, film, joined
from tests.inputs.workshop import AAC, BT709, H264_AAC, H264_TS, OFFSET, Film, Workshop

#: One keyframe in ten seconds at 25 frames a second, wherever scenes change.
_RARE = f"{BT709} -c:v libx264 -preset ultrafast -crf 16 -g 250 -sc_threshold 0 {AAC}"
#: Where the 33 bits of a transport stream's clock are used up. Source: ISO/IEC 13818-1, 2.4.3.7.
_WRAP_S = 2**33 / 90_000
#: ffmpeg's own delay before the first time stamp of a transport stream.
_MUX_DELAY_S = 1.4
_BLACK = "drawbox=t=fill:c=black:enable='lt(t,3)'"

#: What a steady frame rate loses where the times of two parts do not lie on one grid.
_GRID_S = 0.025

_JUMP = "timestamps-jump"

_first = film("first.ts", H264_TS, seconds=5.0)
_second = film("second.ts", H264_TS, seconds=5.0, clock_s=5.0)


def _held_from(at_s: float, last_s: float) -> tuple[Part, ...]:
    """The picture runs up to a moment and stands then."""
    return (Part(0.0, 0.0), Part(at_s, last_s, runs=False))


def _black_start(shop: Workshop) -> Path:
    return shop.film(Film(seconds=9.0, flashes_s=(4.0, 5.0)), _RARE.replace("-vf ", f'-vf "{_BLACK}",'), "black.mp4")


INPUTS = (
    # Report: video-dev/hls.js#483
    Input(
        name="times/starts at 14 hours",
        make=film("late.ts", f"{H264_AAC} {OFFSET} 50000", seconds=5.0),
        expected=Plays(seconds=5.0),
    ),
    Input(
        name="times/starts at 14 hours, rare keyframes",
        make=film("late.ts", f"{_RARE} {OFFSET} 50000", seconds=5.0),
        expected=Plays(seconds=5.0),
    ),
    # Report: shaka-project/shaka-player#10324
    Input(
        name="times/clock wraps",
        make=film("wrap.ts", f"{H264_AAC} {OFFSET} {_WRAP_S - _MUX_DELAY_S - 2.5:.3f}", seconds=5.0),
        expected=Plays(seconds=5.0),
    ),
    # Report: stackia/rtp2httpd#676
    Input(
        name="times/clock jumps forward",
        make=joined("jump.ts", _first, film("far.ts", f"{H264_AAC} {OFFSET} 300", seconds=5.0, clock_s=5.0)),
        expected=Plays(seconds=10.0, duration_slack_s=0.3, sync_s=_GRID_S, warnings=(Damage(_JUMP, 4.9, 5.2),)),
    ),
    # Report: popcornmix/omxplayer#378
    Input(
        name="times/clock jumps back",
        make=joined("parts.ts", _first, _second),
        expected=Plays(seconds=10.0, duration_slack_s=0.3, sync_s=_GRID_S, warnings=(Damage(_JUMP, 4.9, 5.2),)),
    ),
    # Report: nilaoda/N_m3u8DL-RE#947
    Input(
        name="times/the same part twice",
        make=joined("twice.ts", _first, _first),
        expected=Plays(
            seconds=10.0,
            picture=(Part(0.0, 0.0), Part(5.0, 0.0)),
            sound=(Part(0.0, 0.0), Part(5.0, 0.0)),
            duration_slack_s=0.3,
            sync_s=_GRID_S,
            warnings=(Damage(_JUMP, 4.9, 5.2),),
        ),
    ),
    Input(
        name="times/three parts of a dashcam",
        make=joined(
            "dashcam.ts",
            *(film(f"{part}.ts", H264_TS, seconds=3.0, clock_s=3.0 * part, flashes_s=(1.0,)) for part in range(3)),
        ),
        expected=Plays(
            seconds=9.0,
            duration_slack_s=0.4,
            sync_s=_GRID_S,
            warnings=(Damage(_JUMP, 2.9, 3.2), Damage(_JUMP, 5.9, 6.3)),
        ),
    ),
    # Report: mifi/lossless-cut#1733
    Input(
        name="times/two seconds of reception are lost",
        make=joined(
            "gap.ts",
            film("before.ts", H264_TS, seconds=4.0),
            film("after.ts", f"{H264_AAC} {OFFSET} 7", seconds=4.0, clock_s=6.0),
        ),
        expected=Plays(
            seconds=10.0,
            picture=(Part(0.0, 0.0), Part(4.0, 3.96, runs=False), Part(6.0, 6.0)),
            sound=(Part(0.0, 0.0), Part(4.0, None), Part(6.0, 6.0)),
            duration_slack_s=0.2,
            warnings=(Damage("media-damaged", 3.8, 6.1, 1.9),),
        ),
    ),
    # Report: mifi/lossless-cut#26
    Input(
        name="times/begins without a keyframe",
        make=copied(
            "tail.ts",
            "-i {0} -ss 1 -copyinkf -c copy",
            film("gops.ts", H264_AAC.replace("n_forced", "n_forced*2"), seconds=6.0, flashes_s=(3.0, 5.0)),
        ),
        expected=Plays(
            seconds=5.0,
            picture=(Part(0.0, None), Part(1.0, 2.0)),
            sound=(Part(0.0, 1.0),),
            duration_slack_s=0.2,
            warnings=(Damage("media-damaged", 0.0, 1.1, 0.9),),
        ),
    ),
    # Report: mifi/lossless-cut#204
    Input(
        name="times/trimmed, the only keyframe lies before",
        make=copied("trimmed.mp4", "-ss 1.7 -i {0} -c copy", film("base.mp4", _RARE, seconds=5.0, flashes_s=(3.0,))),
        # Its sound is cut between packets: 21 ms late in the file itself.
        expected=Plays(seconds=3.3, picture=(Part(0.0, 1.7),), sound=(Part(0.0, 1.7),), sync_s=0.03),
    ),
    # Report: HandBrake/HandBrake#778
    Input(
        name="times/sound begins late by an empty edit",
        make=film("late-sound.mp4", seconds=3.6, sound_s=2.6, sound_at_s=1.0, flashes_s=(2.0, 3.0)),
        expected=Plays(seconds=3.6, sound=(Part(0.0, None), Part(1.0, 1.0))),
    ),
    # Report: HandBrake/HandBrake#7994
    Input(
        name="times/picture begins late by an empty edit",
        make=film(
            "late-picture.mp4",
            f"{H264_AAC} -fps_mode passthrough",
            seconds=2.6,
            sound_s=3.6,
            picture_at_s=1.0,
            flashes_s=(2.0, 3.0),
        ),
        expected=Plays(seconds=3.6, picture=(Part(0.0, None), Part(1.0, 1.0))),
    ),
    Input(
        name="times/sound before picture in a broadcast",
        make=film("broadcast.ts", seconds=3.0, sound_s=3.6, picture_at_s=0.6, flashes_s=(2.0, 3.0)),
        expected=Plays(seconds=3.6, picture=(Part(0.0, None), Part(0.6, 0.6))),
    ),
    # Report: mpv-player/mpv#1417
    Input(
        name="times/sound begins late in Matroska",
        make=film("late-sound.mkv", seconds=3.6, sound_s=2.6, sound_at_s=1.0, flashes_s=(2.0, 3.0)),
        expected=Plays(seconds=3.6, sound=(Part(0.0, None), Part(1.0, 1.0))),
    ),
    Input(
        name="times/sound is longer",
        make=film("long-sound.mp4", seconds=4.0, sound_s=10.0),
        expected=Plays(seconds=10.0, picture=_held_from(4.0, 3.96)),
    ),
    Input(
        name="times/picture is longer",
        make=film("long-picture.mp4", seconds=7.0, sound_s=3.0),
        expected=Plays(seconds=7.0, sound=(Part(0.0, 0.0), Part(3.0, None))),
    ),
    # Report: jellyfin/jellyfin#15297
    Input(
        name="times/one keyframe in ten seconds",
        make=film("rare.mp4", _RARE, seconds=11.5),
        expected=Plays(seconds=11.5),
    ),
    Input(
        name="times/black, then a film, one keyframe",
        make=_black_start,
        expected=Plays(seconds=9.0, picture=(Part(0.0, None), Part(3.0, 3.0))),
    ),
    # Report: ffmpegwasm/ffmpeg.wasm#154
    Input(
        name="times/browser's recording without a duration",
        make=film(
            "recorded.webm",
            f"{BT709} -c:v libvpx -deadline realtime -cpu-used 8 -b:v 1M -g 25 -c:a libopus -live 1",
            seconds=3.6,
        ),
        # Its clock counts milliseconds, and the sound's own delay is not written down.
        expected=Plays(seconds=3.6, sync_s=0.03),
    ),
)

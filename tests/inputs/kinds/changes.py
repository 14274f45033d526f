"""What changes in the middle: size, shape, sampling, rate, channels."""

import shlex
from pathlib import Path

from tests.inputs.expected import Input, Make, Part, Plays
from tests.inputs.recipes import film, joined
from tests.inputs.workshop import AAC, BT709, H264_AAC, OFFSET, X264, Workshop

_PART_S = 3.6
_VP8 = f"{BT709} -c:v libvpx -deadline realtime -cpu-used 8 -b:v 1M -g 25 -c:a libopus"
_MPEG2 = f"{BT709} -c:v mpeg2video -q:v 2 -g 12 -c:a mp2"


def _listed(name: str, *parts: Make) -> Make:
    """Parts one after the other, with the times of one film."""

    def make(shop: Workshop) -> Path:
        paths = [part(shop) for part in parts]
        playlist = shop.path("parts.txt")
        playlist.write_text("".join(f"file {shlex.quote(str(path))}\n" for path in paths))
        whole = shop.path(name)
        shop.run(f"-f concat -safe 0 -i {playlist} -c copy {whole}")
        return whole

    return make


def _halves(first: str, second: str, overlap_s: float = 0.0, **changed: object) -> tuple[Make, Make]:
    """A part, and one with another recipe or another form; their clocks follow each other."""
    return (
        film("first.ts", f"{first} {OFFSET} 1", seconds=_PART_S, size=(640, 360)),
        film(
            "second.ts",
            f"{second} {OFFSET} {1 + _PART_S - overlap_s}",
            seconds=_PART_S,
            clock_s=_PART_S,
            **{"size": (640, 360), **changed},
        ),
    )


#: What a steady frame rate loses where the times of two parts do not lie on one grid.
_GRID_S = 0.03
_OVERLAP_S = 0.08
_WIDE = Plays(seconds=2 * _PART_S, size=(640, 360), duration_slack_s=0.2, sync_s=_GRID_S)

INPUTS = (
    # Report: Kurento/bugtracker#535, streamproc/MediaStreamRecorder#118
    Input(
        name="changes/size shrinks in a browser's call",
        make=_listed(
            "call.webm",
            film("first.webm", _VP8, seconds=_PART_S, size=(640, 360)),
            film("second.webm", _VP8, seconds=_PART_S, clock_s=_PART_S),
        ),
        expected=Plays(seconds=2 * _PART_S, size=(640, 360), duration_slack_s=0.2, sync_s=_GRID_S),
    ),
    Input(
        name="changes/size grows in a browser's call",
        make=_listed(
            "call.webm",
            film("first.webm", _VP8, seconds=_PART_S),
            film("second.webm", _VP8, seconds=_PART_S, clock_s=_PART_S, size=(640, 360)),
        ),
        expected=Plays(seconds=2 * _PART_S, size=None, duration_slack_s=0.2, sync_s=_GRID_S),
    ),
    # Report: cannonbeach/ott-packager#14, google/ExoPlayer#2552
    Input(
        name="changes/channels, 5.1 to stereo",
        make=joined(
            "broadcast.ts",
            *_halves(f"{BT709} {X264} -c:a ac3 -ac 6 -b:a 384k", f"{BT709} {X264} -c:a ac3 -ac 2 -b:a 192k"),
        ),
        expected=_WIDE,
    ),
    # The times of the second part begin before the first one ends.
    Input(
        name="changes/channels, parts that overlap",
        make=joined(
            "broadcast.ts",
            *_halves(
                f"{BT709} {X264} -c:a ac3 -ac 6 -b:a 384k",
                f"{BT709} {X264} -c:a ac3 -ac 2 -b:a 192k",
                overlap_s=_OVERLAP_S,
            ),
        ),
        expected=Plays(
            seconds=2 * _PART_S,
            picture=(Part(0.0, 0.0), Part(_PART_S - _OVERLAP_S, _PART_S)),
            size=(640, 360),
            duration_slack_s=0.25,
            # Behind the seam the sound is late by the overlap: nothing of it is cut.
            sync_s=_OVERLAP_S + _GRID_S,
        ),
    ),
    Input(
        name="changes/channels, mono to stereo",
        make=joined("broadcast.ts", *_halves(f"{BT709} {X264} -c:a mp2 -ac 1", f"{BT709} {X264} -c:a mp2 -ac 2")),
        expected=_WIDE,
    ),
    Input(
        name="changes/sample rate",
        make=joined("broadcast.ts", *_halves(f"{BT709} {X264} {AAC} -ar 48000", f"{BT709} {X264} {AAC} -ar 44100")),
        expected=_WIDE,
    ),
    # Report: wacky6/hikaru#33
    Input(
        name="changes/size in a broadcast",
        make=joined("broadcast.ts", *_halves(H264_AAC, H264_AAC, size=(320, 180))),
        expected=_WIDE,
    ),
    Input(
        name="changes/shape of the pixels",
        make=joined(
            "broadcast.ts",
            *_halves(_MPEG2.replace("yuv420p", "yuv420p,setdar=16/9"), _MPEG2.replace("yuv420p", "yuv420p,setdar=4/3")),
        ),
        expected=_WIDE,
    ),
    Input(
        name="changes/sampling of the colours",
        make=joined("broadcast.ts", *_halves(H264_AAC, H264_AAC.replace("yuv420p", "yuv422p"))),
        expected=_WIDE,
    ),
    Input(
        name="changes/frame rate",
        make=joined("broadcast.ts", *_halves(H264_AAC, H264_AAC, fps="50")),
        expected=Plays(seconds=2 * _PART_S, size=(640, 360), fps=(), duration_slack_s=0.2, sync_s=_GRID_S),
    ),
)

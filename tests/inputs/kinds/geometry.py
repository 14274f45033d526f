"""Shapes: every display matrix, pixels that are not square, odd, extreme and tiny sizes, fields."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.hostile.boxes import boxes, patched
from tests.inputs.expected import Input, Plays, plays_picture
from tests.inputs.recipes import film
from tests.inputs.recipes import patched as changed
from tests.inputs.workshop import AAC, BT709, X264

#: Where the matrix and the size stand in a track header of version 0. Source: ISO/IEC 14496-12, 8.3.2.
_MATRIX_AT, _SIZE_AT = 40, 76
#: The matrix's last column. Source: ISO/IEC 14496-12, 6.2.2.
_ONE, _W = 0x10000, 0x40000000

#: a, b, c, d of the matrix, and what makes the stored picture of the one that is to be seen.
_TURNS: dict[str, tuple[tuple[int, int, int, int], Callable[[Any], Any]]] = {
    "as it is": ((1, 0, 0, 1), lambda card: card),
    "quarter turn": ((0, 1, -1, 0), np.rot90),
    "half turn": ((-1, 0, 0, -1), lambda card: np.rot90(card, 2)),
    "three quarters": ((0, -1, 1, 0), lambda card: np.rot90(card, -1)),
    "mirrored": ((-1, 0, 0, 1), lambda card: card[:, ::-1]),
    "upside down mirrored": ((1, 0, 0, -1), lambda card: card[::-1]),
    "transposed": ((0, 1, 1, 0), lambda card: card.swapaxes(0, 1)),
    "transposed the other way": ((0, -1, -1, 0), lambda card: card[::-1, ::-1].swapaxes(0, 1)),
}


def _with_matrix(content: bytes, turn: tuple[int, int, int, int]) -> bytes:
    """The file with another display matrix in the header of its picture."""
    a, b, c, d = turn
    header = next(box for box in boxes(content) if box.kind == b"tkhd" and any(content[box.body + _SIZE_AT :][:4]))
    width, height = (int.from_bytes(content[header.body + at :][:4], "big") for at in (_SIZE_AT, _SIZE_AT + 4))
    # What falls left of or above the origin is moved back into sight.
    x, y = (-min(0, one * width) - min(0, other * height) for one, other in ((a, c), (b, d)))
    values = (a * _ONE, b * _ONE, 0, c * _ONE, d * _ONE, 0, x, y, _W)
    return patched(content, header.body + _MATRIX_AT, ">9i", *values)


def _turned(name: str) -> Input:
    matrix, turn = _TURNS[name]
    size = (180, 320) if matrix[1] else (320, 180)
    stored = film("stored.mp4", size=size, turn=turn, sound_s=0.0)
    return Input(
        name=f"geometry/matrix {name}",
        make=changed("turned.mp4", lambda contents: _with_matrix(contents[0], matrix), stored),
        expected=plays_picture(3.0, size=size),
    )


def _sized(name: str, size: tuple[int, int], shown: tuple[int, int] | None = None, pixels: str = "") -> Input:
    """`pixels`: their aspect, "64/45"."""
    encoded = BT709.replace("format=yuv420p", f"format=yuv420p,setsar={pixels}") if pixels else BT709
    encoded = encoded if all(length % 2 == 0 for length in size) else encoded.replace("yuv420p", "yuv444p")
    return Input(
        name=f"geometry/{name}",
        make=film("sized.mkv", f"{encoded} {X264} {AAC}", size=size, sound_s=0.0, seconds=2.0, flashes_s=(1.0,)),
        expected=plays_picture(2.0, size=shown or size),
    )


def _tiny(side_px: int) -> Input:
    encoded = "-c:v ffv1 -pix_fmt yuv444p"
    return Input(
        name=f"geometry/{side_px}x{side_px} pixels",
        make=film("tiny.mkv", encoded, size=(side_px, side_px), sound_s=0.0, seconds=1.0),
        expected=plays_picture(1.0, size=(side_px, side_px), has_card=False, fps=()),
    )


def _fields(order: str) -> str:
    """Fifty fields a second of a PAL picture for a wide screen."""
    first = {"tff": "top", "bff": "bottom"}[order]
    return (
        "-vf scale=out_color_matrix=bt601:out_range=tv,format=yuv420p,setsar=64/45,"
        f"interlace=scan={order},fieldorder={order} -colorspace bt470bg -color_primaries bt470bg -color_trc gamma28 "
        f"-c:v mpeg2video -q:v 2 -g 12 -flags +ilme+ildct -top {int(first == 'top')} -c:a mp2 -b:a 192k"
    )


_PAL: dict[str, Any] = {"fps": "50", "size": (720, 576), "clock_step_s": 0.2}

INPUTS = (
    # Report: FFMS/ffms2#317, ZoneMinder/zoneminder#4915, mpv-player/mpv#16090
    *map(_turned, _TURNS),
    # Report: Chocobozzz/PeerTube#4155
    _sized("odd width and height", (321, 181), (320, 180)),
    # Report: pulsejet/memories#775
    _sized("odd height", (640, 359), (640, 358)),
    # Report: rigaya/NVEnc#43
    _sized("PAL, pixels of 16:15", (720, 576), (768, 576), "16/15"),
    # Report: jellyfin/jellyfin#16665
    _sized("PAL, pixels of 64:45", (720, 576), (1024, 576), "64/45"),
    _sized("pixels twice as wide", (160, 180), (320, 180), "2/1"),
    _sized("pixels twice as high", (320, 90), (320, 180), "1/2"),
    Input(
        name="geometry/very wide",
        make=film("wide.mkv", size=(1280, 40), sound_s=0.0),
        expected=plays_picture(3.0, size=(1280, 40), has_card=False),
    ),
    Input(
        name="geometry/very high",
        make=film("high.mkv", size=(40, 1280), sound_s=0.0),
        expected=plays_picture(3.0, size=(40, 1280), has_card=False),
    ),
    _tiny(2),
    _tiny(4),
    _tiny(16),
    # Report: jellyfin/jellyfin#16302
    Input(
        name="geometry/576i, wide, top field first",
        make=film("fields.ts", _fields("tff"), **_PAL),
        expected=Plays(seconds=3.0, size=(1024, 576), fps=(25.0, 50.0), sync_s=0.025, frame_s=0.24),
    ),
    Input(
        name="geometry/576i, wide, bottom field first",
        make=film("fields.ts", _fields("bff"), **_PAL),
        expected=Plays(seconds=3.0, size=(1024, 576), fps=(25.0, 50.0), sync_s=0.025, frame_s=0.24),
    ),
)

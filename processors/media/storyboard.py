"""A storyboard's geometry and its cues. Pure. Source: W3C WebVTT, W3C Media Fragments (#xywh)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

#: Tiles of one sprite: columns, rows.
_COLUMNS, _ROWS = 10, 10
#: A short clip gets a tile a second, a long one a tile every ten.
_SHORTEST_S, _LONGEST_S = 1.0, 10.0
#: Aimed at between those bounds.
_TILES = 100
#: Fewer tiles than this say too little of a short video: then all of it is decoded, not its keyframes only.
_FEW_TILES, _DECODED_S = 10, 120.0
#: Pictures are at most two slots apart where none is missing.
_GAP_SLOTS = 2.0
#: Rounding of times must not move a picture into the slot before its own; ffmpeg's expression has the same.
SLOT_SLACK = 1e-6


@dataclass(frozen=True, kw_only=True)
class Storyboard:
    """Tiles in the order of time, row by row, sprite after sprite: at most one in each slot of `interval_s`."""

    duration_s: float
    interval_s: float
    #: How many there are at most.
    tiles: int
    tile_width_px: int
    tile_height_px: int

    @property
    def columns(self) -> int:
        """Of every sprite."""
        return min(self.tiles, _COLUMNS)

    @property
    def rows(self) -> int:
        """Of every sprite; the last one may be partly black."""
        return min(math.ceil(self.tiles / self.columns), _ROWS)

    def sprites(self, tiles: int) -> int:
        """How many there are for so many tiles."""
        return math.ceil(tiles / (self.columns * self.rows))

    def slot(self, at_s: float) -> int:
        """The slot that a moment lies in."""
        return max(0, math.floor(at_s / self.interval_s + SLOT_SLACK))

    def is_sparse(self, tiles: int, pictures_s: float) -> bool:
        """Whether the keyframes of so many seconds of pictures gave too few tiles, and a decode of all is worth it."""
        due = min(math.ceil(round(pictures_s / self.interval_s, 6)), _FEW_TILES)
        return tiles == 0 or (tiles < due and pictures_s <= _DECODED_S)

    def gaps(self, times_s: Sequence[float], end_s: float) -> list[tuple[float, float]]:
        """Stretches of several slots without a picture, up to the end of the video."""
        around = pairwise([0.0, *times_s, end_s])
        return [(before, after) for before, after in around if after - before > _GAP_SLOTS * self.interval_s]


def storyboard(duration_s: float, tile_width_px: int, tile_height_px: int) -> Storyboard:
    """The storyboard of a video."""
    interval_s = min(max(duration_s / _TILES, _SHORTEST_S), _LONGEST_S)
    return Storyboard(
        duration_s=duration_s,
        interval_s=interval_s,
        tiles=max(1, math.ceil(round(duration_s / interval_s, 6))),
        tile_width_px=tile_width_px,
        tile_height_px=tile_height_px,
    )


def sprite_name(number: int) -> str:
    """File name of a sprite, counted from 1."""
    return f"storyboard-{number:03d}.jpg"


def storyboard_vtt(board: Storyboard, times_s: Sequence[float]) -> str:
    """WebVTT with one cue per tile, whose picture is of that time: from its slot to the next one that has a tile."""
    starts = [0.0, *(board.slot(at_s) * board.interval_s for at_s in times_s[1:]), board.duration_s]
    cues = (_cue(board, number, starts[number], starts[number + 1]) for number in range(len(times_s)))
    return "\n".join(["WEBVTT", "", *cues])


def _cue(board: Storyboard, number: int, start_s: float, end_s: float) -> str:
    sheet, place = divmod(number, board.columns * board.rows)
    row, column = divmod(place, board.columns)
    x, y = column * board.tile_width_px, row * board.tile_height_px
    return (
        f"{_time(start_s)} --> {_time(end_s)}\n"
        f"{sprite_name(sheet + 1)}#xywh={x},{y},{board.tile_width_px},{board.tile_height_px}\n"
    )


def _time(at_s: float) -> str:
    total_ms = round(at_s * 1000)
    hours, rest = divmod(total_ms, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"

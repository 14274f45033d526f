"""A storyboard's geometry and its cues. Pure. Source: W3C WebVTT, W3C Media Fragments (#xywh)."""

import math
from dataclasses import dataclass

#: Tiles of one sprite: columns, rows.
_COLUMNS, _ROWS = 10, 10
#: A short clip gets a tile a second, a long one a tile every ten.
_SHORTEST_S, _LONGEST_S = 1.0, 10.0
#: Aimed at between those bounds.
_TILES = 100


@dataclass(frozen=True, kw_only=True)
class Storyboard:
    """Tiles in the order of time, row by row, sprite after sprite."""

    duration_s: float
    interval_s: float
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

    @property
    def sprites(self) -> int:
        """How many there are."""
        return math.ceil(self.tiles / (self.columns * self.rows))


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


def storyboard_vtt(board: Storyboard) -> str:
    """WebVTT with one cue per tile."""
    return "\n".join(["WEBVTT", "", *(_cue(board, number) for number in range(board.tiles))])


def _cue(board: Storyboard, number: int) -> str:
    sheet, place = divmod(number, board.columns * board.rows)
    row, column = divmod(place, board.columns)
    start_s = number * board.interval_s
    end_s = min(start_s + board.interval_s, board.duration_s)
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

"""The test card: a picture that carries the time at which it is to be shown, which way is up, and a flash.

Drawn into every film of the corpus, and read back from whatever the pipeline published: frames, thumbnails, tiles. All
places are shares of width and height, so a picture of any size and any aspect can be read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Rows, columns, RGB; 0-255.
Picture = NDArray[np.uint8]

#: Colours of the corners, clockwise from the top left, and the letters that they are read as.
CORNERS = {"R": (200, 30, 30), "G": (30, 180, 30), "Y": (200, 200, 30), "B": (40, 40, 200)}
#: What the corners of a picture read that stands as it should.
UPRIGHT = "RGYB"
#: Patches of the colour card, row by row, four in a row.
PATCHES = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "grey": (128, 128, 128),
    "skin": (200, 150, 120),
    "moss": (40, 70, 30),
}
_PATCH_COLUMNS, _PATCH_ROWS = 4, 2
#: The clock counts hundredths of a second in so many bits: 40 s.
_BITS = 12
CLOCK_HZ = 100
#: White, the bits from the highest, a cell that makes the number of white bits even, black.
_CELLS = _BITS + 3
_GREY, _WHITE, _BLACK = 90, 235, 16


@dataclass(frozen=True)
class _Area:
    """A part of a picture, in shares of its width and height."""

    left: float
    top: float
    right: float
    bottom: float

    def cut(self, picture: Any, margin: float = 0.0) -> Any:
        """The part of the picture, less `margin` (a share of the part) at each side; at least a pixel."""
        height, width = picture.shape[:2]
        rows = _span(self.top, self.bottom, height, margin)
        columns = _span(self.left, self.right, width, margin)
        return picture[rows, columns]


def _span(low: float, high: float, length: int, margin: float) -> slice:
    inset = (high - low) * margin
    start, stop = round((low + inset) * length), round((high - inset) * length)
    start = min(start, length - 1)
    return slice(start, max(stop, start + 1))


_CORNER_AREAS = (
    _Area(0.0, 0.0, 0.2, 0.25),
    _Area(0.8, 0.0, 1.0, 0.25),
    _Area(0.8, 0.75, 1.0, 1.0),
    _Area(0.0, 0.75, 0.2, 1.0),
)
_FLASH = _Area(0.3, 0.0, 0.7, 0.28)
_CLOCK = _Area(0.0, 0.36, 1.0, 0.64)
#: How much of a cell is left out at each side when it is read: scaling and compression blur edges.
_MARGIN = 0.25


def _cells() -> Iterator[_Area]:
    for place in range(_CELLS):
        yield _Area(place / _CELLS, _CLOCK.top, (place + 1) / _CELLS, _CLOCK.bottom)


def _patch_areas() -> Iterator[_Area]:
    for row in range(_PATCH_ROWS):
        for column in range(_PATCH_COLUMNS):
            yield _Area(
                column / _PATCH_COLUMNS, row / _PATCH_ROWS, (column + 1) / _PATCH_COLUMNS, (row + 1) / _PATCH_ROWS
            )


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a picture says. `clock_s` is None where no clock can be read."""

    clock_s: float | None
    corners: str
    flash: bool
    #: Mean brightness, 0-255.
    brightness: float


def draw(width_px: int, height_px: int, clock_s: float, *, flash: bool = False) -> Picture:
    """The card for that moment."""
    picture = np.full((height_px, width_px, 3), _GREY, np.uint8)
    for area, colour in zip(_CORNER_AREAS, CORNERS.values(), strict=True):
        area.cut(picture)[:] = colour
    _FLASH.cut(picture)[:] = _WHITE if flash else _BLACK
    for area, white in zip(_cells(), _code(round(clock_s * CLOCK_HZ)), strict=True):
        area.cut(picture)[:] = _WHITE if white else _BLACK
    return picture


def draw_patches(width_px: int, height_px: int) -> Picture:
    """The colour card."""
    picture = np.zeros((height_px, width_px, 3), np.uint8)
    for area, colour in zip(_patch_areas(), PATCHES.values(), strict=True):
        area.cut(picture)[:] = colour
    return picture


def _code(count: int) -> list[bool]:
    bits = [bool(count >> place & 1) for place in reversed(range(_BITS))]
    return [True, *bits, sum(bits) % 2 == 1, False]


def read(picture: Picture) -> Reading:
    """What the card in the picture says."""
    return Reading(
        clock_s=_clock(picture),
        corners="".join(_nearest(_mean(area, picture)) for area in _CORNER_AREAS),
        flash=bool(_mean(_FLASH, picture).mean() > (_WHITE + _BLACK) / 2),
        brightness=float(picture.mean()),
    )


def read_patches(picture: Picture) -> dict[str, tuple[int, int, int]]:
    """The colour of each patch, RGB."""
    means = (_mean(area, picture) for area in _patch_areas())
    return {name: _rgb(mean) for name, mean in zip(PATCHES, means, strict=True)}


def _rgb(mean: Any) -> tuple[int, int, int]:
    red, green, blue = (round(float(value)) for value in mean)
    return red, green, blue


def _mean(area: _Area, picture: Picture) -> Any:
    return area.cut(picture, _MARGIN).reshape(-1, 3).mean(axis=0)


def _nearest(colour: Any) -> str:
    return min(CORNERS, key=lambda letter: float(np.abs(colour - np.array(CORNERS[letter])).sum()))


def _clock(picture: Picture) -> float | None:
    first, *bits, parity, last = (bool(_mean(area, picture).mean() > (_WHITE + _BLACK) / 2) for area in _cells())
    if not first or last or parity != (sum(bits) % 2 == 1):
        return None
    return sum(bit << place for place, bit in enumerate(reversed(bits))) / CLOCK_HZ

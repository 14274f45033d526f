"""Judges pictures by a tiny grey copy of them: which one shows something. Pure."""

from collections.abc import Sequence
from statistics import fmean, pstdev

#: Side of the grey copy.
LOOK_PX = 16
LOOK_BYTES = LOOK_PX * LOOK_PX
#: Mean grey up to which a picture counts as black: video black is 16 of 255, and noise lies above it.
_BLACK = 26.0


def looks(content: bytes) -> list[bytes]:
    """Single grey copies out of a row of them; a last one that is cut is left out."""
    return [content[at : at + LOOK_BYTES] for at in range(0, len(content) - LOOK_BYTES + 1, LOOK_BYTES)]


def is_black(look: bytes) -> bool:
    """Whether there is nothing to see."""
    return fmean(look) <= _BLACK


def best(candidates: Sequence[bytes]) -> int | None:
    """Which one shows most: not black, and rich in contrast, the earliest of equals. None without candidates."""
    worth = [(not is_black(look), pstdev(look)) for look in candidates]
    return max(range(len(worth)), key=worth.__getitem__, default=None)

"""Which sizes a video is encoded in. Pure; the rungs are data in deploy/profiles."""

from dataclasses import dataclass
from fractions import Fraction

from processors.media.profiles import Profile, Rung
from processors.media.tracks import even

#: A rung is a box of this shape, turned for portrait.
_BOX = Fraction(16, 9)
#: A source that misses a rung by no more than this takes its place, at its own size; one that is larger than its
#: largest rung by more does so too, or PAL would lose a third of its pixels.
_NEARLY = Fraction(11, 10)
#: From this rung on a source is not small.
_SMALL_BELOW_PX = 480


@dataclass(frozen=True, kw_only=True)
class Size:
    """One rendition's picture."""

    #: E.g. "720p": the rung, also where a wide picture is lower than it.
    name: str
    width_px: int
    height_px: int
    #: Cap of the bit rate.
    max_bps: int


def ladder(width_px: int, height_px: int, profile: Profile) -> tuple[Size, ...]:
    """Sizes from the largest to the smallest, at least one: in proportion, even, never larger than the source."""
    rungs = [rung for rung in profile.ladder if _fits(width_px, height_px, rung)]
    if all(rung.height_px < _SMALL_BELOW_PX for rung in rungs) and _fits(width_px, height_px, profile.small):
        rungs.append(profile.small)
    if not rungs:
        rungs = [Rung(height_px=min(even(width_px), even(height_px)), max_bps=profile.small.max_bps)]
    rungs[0] = _own_rung(width_px, height_px, rungs[0], profile)
    return tuple(_size(width_px, height_px, rung) for rung in rungs)


def fitted(width_px: int, height_px: int, box: Rung) -> Size:
    """One size, in proportion and even: the source's own, or the largest that fits into the box."""
    return _size(width_px, height_px, box)


def _own_rung(width_px: int, height_px: int, rung: Rung, profile: Profile) -> Rung:
    """The source's own size in place of its largest rung, where it lies between that and the next larger one."""
    larger = [each for each in profile.ladder if each.height_px > rung.height_px]
    scale = _scale(width_px, height_px, rung)
    if not larger or scale * _NEARLY >= 1:
        return rung
    height = round(rung.height_px / scale)
    return Rung(height_px=height, max_bps=min(round(rung.max_bps / scale**2), larger[-1].max_bps))


def _scale(width_px: int, height_px: int, rung: Rung) -> Fraction:
    """What the picture is multiplied with to fit into the rung's box."""
    long_px, short_px = max(width_px, height_px), min(width_px, height_px)
    return min(Fraction(rung.height_px) * _BOX / long_px, Fraction(rung.height_px, short_px))


def _fits(width_px: int, height_px: int, rung: Rung) -> bool:
    return _scale(width_px, height_px, rung) <= _NEARLY


def _size(width_px: int, height_px: int, rung: Rung) -> Size:
    scale = min(_scale(width_px, height_px, rung), Fraction(1))
    return Size(
        name=f"{rung.height_px}p",
        width_px=even(width_px * scale),
        height_px=even(height_px * scale),
        max_bps=rung.max_bps,
    )

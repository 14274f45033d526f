"""The plan of a ladder: sizes, rate, cuts and clock of its renditions, decided before anything is encoded. Pure."""

import math
from dataclasses import dataclass
from fractions import Fraction

from processors.errors import NothingToShow
from processors.media.ladder import Size, ladder
from processors.media.profiles import Profile
from schemas.probe import ProbeOutputs, VideoTrack

#: x264 with a B-pyramid holds back two frames; the clock of the segments starts later by them and a little.
_HELD_BACK_FRAMES = 2
_HELD_BACK_SLACK_S = Fraction(2, 100)
#: At least this: sound starts one AAC frame early.
_MIN_START_S = Fraction(1, 10)
#: A frame rate beyond the highest by no more than this is lowered to it: the averages of cameras are a little off.
_NEARLY_MAX = Fraction(105, 100)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be encoded, decided before anything runs."""

    sizes: tuple[Size, ...]
    #: Frames a second of every rendition.
    rate: Fraction
    segment_s: float
    #: Where the media's clock starts in the segments.
    start_s: Fraction
    #: How far the grid of frames lies behind it, less than half a frame either way: a film seldom begins with its file.
    phase_s: Fraction
    duration_s: float
    #: Whether every rendition is made to last that long: where the end cannot be decoded, the last picture stands, and
    #: there is silence.
    is_filled: bool = False


def plan(media: ProbeOutputs, profile: Profile, *, is_filled: bool = False) -> Plan:
    """The renditions, their rate and their cuts. Raises NothingToShow when there is no track."""
    video = media.video
    if not video and not media.audio:
        raise NothingToShow("The file holds neither video nor sound that can be played.")
    rate = _capped(Fraction(video.frame_rate), profile.video.max_fps) if video else Fraction(0)
    phase_s = _phase_s(_grid_s(video), rate) if video else Fraction(0)
    short = media.duration_s < profile.short_below_s
    return Plan(
        sizes=ladder(video.width_px, video.height_px, profile) if video else (),
        rate=rate,
        segment_s=profile.short_segment_s if short else profile.segment_s,
        start_s=_start_s(rate, phase_s) if rate else _MIN_START_S,
        phase_s=phase_s,
        duration_s=media.duration_s,
        is_filled=is_filled,
    )


def _capped(rate: Fraction, max_fps: float) -> Fraction:
    """The rate divided by the smallest number that makes it low enough, so that frames are dropped evenly."""
    most = Fraction(max_fps)
    return min(rate / math.ceil(rate / (most * _NEARLY_MAX)), most)


def _grid_s(video: VideoTrack) -> float:
    """The time of the first frame, if it lasted as long as the others."""
    return video.start_s if video.grid_start_s is None else video.grid_start_s


def _phase_s(start_s: float, rate: Fraction) -> Fraction:
    """From the nearest moment that is a multiple of a frame to the track's start."""
    start = Fraction(start_s).limit_denominator(1_000_000)
    return start - round(start * rate) / rate


def _start_s(rate: Fraction, phase_s: Fraction) -> Fraction:
    """Late enough that nothing is decoded before zero: neither held back frames nor a first one that comes early."""
    early_s = max(-phase_s, Fraction(0))
    return max(_HELD_BACK_FRAMES / rate + _HELD_BACK_SLACK_S + early_s, _MIN_START_S)

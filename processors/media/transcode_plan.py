"""The plan of a ladder: sizes, rate, cuts and clock of its renditions, decided before anything is encoded. Pure."""

from dataclasses import dataclass
from fractions import Fraction

from processors.errors import NothingToShow
from processors.media.ladder import Size, ladder
from processors.media.profiles import Profile
from processors.media.whole_tracks import capped_rate, grid_phase_s
from schemas.probe import ProbeOutputs

#: x264 with a B-pyramid holds back two frames; the clock of the segments starts later by them and a little.
_HELD_BACK_FRAMES = 2
_HELD_BACK_SLACK_S = Fraction(2, 100)
#: At least this: sound starts one AAC frame early.
_MIN_START_S = Fraction(1, 10)


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
    rate = capped_rate(Fraction(video.frame_rate), profile.video.max_fps) if video else Fraction(0)
    phase_s = grid_phase_s(video, rate) if video else Fraction(0)
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


def _start_s(rate: Fraction, phase_s: Fraction) -> Fraction:
    """Late enough that nothing is decoded before zero: neither held back frames nor a first one that comes early."""
    early_s = max(-phase_s, Fraction(0))
    return max(_HELD_BACK_FRAMES / rate + _HELD_BACK_SLACK_S + early_s, _MIN_START_S)

"""Judges of the picture: frame times, orientation, size, frame rate, and sync with the sound."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from tests.inputs import tone
from tests.inputs.card import CLOCK_HZ, UPRIGHT
from tests.inputs.expected import Plays, Timeline, clock_at
from tests.inputs.judges.findings import Finding
from tests.inputs.observed import Frame, Observed, Video

#: Share of frames that must be right: the first and the last one may be a neighbour's.
_RIGHT = 0.97
#: The clock counts hundredths: half of one is lost by rounding, and a container's times by as much again.
_ROUNDING_S = 1.1 / CLOCK_HZ
#: How near to a seam of the timeline frames are not judged.
_SEAM_S = 0.15
#: A beep further from a flash than this belongs to another one.
_NEAR_S = 0.5
#: Frame rates are told apart by less than the one between 29.97 and 30.
_RATE_SHARE = 0.0007
_SIZE_SLACK_PX = 2


def frames(expected: Plays, observed: Observed) -> Iterator[Finding]:
    """Clock, corners, size and rate of the largest rendition."""
    video = observed.video
    if expected.picture is None or video is None:
        return
    if video.complaints:
        yield Finding("decoding", video.complaints, holds=False)
    if not video.frames:
        yield Finding("frames", "none", holds=False)
        return
    rate = _rate(video.frames)
    if expected.has_card:
        yield from _clock(expected, expected.picture, video.frames, 1 / rate if rate else 0.0)
        yield _corners([frame for frame in video.frames if _due(expected.picture, frame.at_s) is not None])
    yield from _form(expected, video, rate)


def _rate(shown: Sequence[Frame]) -> float:
    lasts_s = shown[-1].at_s - shown[0].at_s
    return (len(shown) - 1) / lasts_s if lasts_s > 0 else 0.0


def _clock(expected: Plays, shows: Timeline, shown: Sequence[Frame], step_s: float) -> Iterator[Finding]:
    judged = [(frame, clock) for frame in shown if (clock := _due(shows, frame.at_s)) is not None]
    behind_s, ahead_s = expected.frame_s + step_s / 2 + _ROUNDING_S, step_s / 2 + _ROUNDING_S
    off = [clock - frame.card.clock_s for frame, clock in judged if frame.card.clock_s is not None]
    right = sum(-ahead_s <= late_s <= behind_s for late_s in off)
    worst = max(off, key=abs, default=0.0)
    words = f"{right} of {len(judged)} frames at their time, the worst {abs(worst):.2f} s off"
    yield Finding("clock", words, holds=bool(judged) and right >= _RIGHT * len(judged))


def _due(shows: Timeline, at_s: float) -> float | None:
    """What the clock must read; None near a seam."""
    near = any(part.at_s > 0 and abs(at_s - part.at_s) < _SEAM_S for part in shows)
    return None if near else clock_at(shows, at_s)


def _corners(shown: Sequence[Frame]) -> Finding:
    wrong = [frame.card.corners for frame in shown if frame.card.corners != UPRIGHT]
    holds = len(wrong) <= (1 - _RIGHT) * len(shown)
    return Finding("corners", UPRIGHT if holds else f"{wrong[len(wrong) // 2]} for {UPRIGHT}", holds=holds)


def _form(expected: Plays, video: Video, rate: float) -> Iterator[Finding]:
    if expected.size is not None:
        width, height = expected.size
        holds = abs(video.width_px - width) <= _SIZE_SLACK_PX and abs(video.height_px - height) <= _SIZE_SLACK_PX
        yield Finding("size", f"{video.width_px}x{video.height_px} of {width}x{height}", holds=holds)
    if expected.fps:
        holds = any(abs(rate - right) <= right * _RATE_SHARE for right in expected.fps)
        yield Finding("rate", f"{rate:.3f} of {' or '.join(f'{one:g}' for one in expected.fps)} fps", holds=holds)


def sync(expected: Plays, observed: Observed) -> Iterator[Finding]:
    """Every flash comes with its beep."""
    if expected.sync_s is None or not (expected.picture and expected.sound and observed.video and observed.sound):
        return
    shows = expected.picture
    flashes = [at_s for at_s in flash_times(observed.video.frames) if clock_at(shows, at_s) is not None]
    sound = observed.sound
    beeps = [sound.at_s + at_s for at_s in tone.beeps(sound.mono, sound.rate_hz)]
    apart = [min((beep - flash for beep in beeps), key=abs, default=_NEAR_S) for flash in flashes]
    if not apart or max(map(abs, apart)) >= _NEAR_S:
        yield Finding("sync", f"{len(flashes)} flashes, {len(beeps)} beeps, not together", holds=False)
        return
    worst = max(apart, key=abs)
    words = f"beep {worst * 1000:+.0f} ms after its flash"
    yield Finding("sync", words, holds=abs(worst) <= expected.sync_s)


def flash_times(shown: Sequence[Frame]) -> list[float]:
    """When flashes begin: frames with one after frames without."""
    return [after.at_s for before, after in pairwise(shown) if after.card.flash and not before.card.flash]

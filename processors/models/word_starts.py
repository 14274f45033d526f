"""Refines the starts of recognised words to where their sound begins. Pure.

A speech model aligns words by its attention, which may peak inside them: then starts come late in running speech. And a
pause counts to the word behind it. Errors before and after: docs/inputs.md, speech/starts of words.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: One value per frame.
Curve = NDArray[np.float64]

_HOP_S, _WINDOW_S = 0.01, 0.025
#: Bands of the spectrum whose change is measured, equally wide in mel from 60 Hz to 7.6 kHz.
_BANDS, _LOWEST_HZ, _HIGHEST_HZ = 26, 60.0, 7600.0
#: Frames before and behind a moment whose spectra are compared.
_COMPARED = 4
#: A pause has at least this length, and this little of the range between quiet and loud.
_PAUSE_FRAMES, _QUIET_SHARE, _LEAST_RANGE_DB = 15, 0.35, 15.0
#: What may sound of the word before a pause within the word behind it.
_TAIL_FRAMES = 5
#: Where the start is searched around the expected one, and how far it usually is from it.
_AROUND_FRAMES, _SPREAD_FRAMES = 8, 2
#: The same behind a pause, whose end is known.
_ONSET_FRAMES = 3
_SHORTEST_FRAMES = 2
#: Sound around a segment that is looked at.
_MARGIN_S = 0.5


class Span(NamedTuple):
    """Start and end of a word, seconds."""

    start_s: float
    end_s: float


class _Sound(NamedTuple):
    """What is measured of the sound, every 10 ms."""

    #: Whether the frame is part of a pause.
    pauses: NDArray[np.bool_]
    #: How much the spectrum changes there.
    change: Curve


def refined(spans: list[Span], samples: Any, rate_hz: int, late_s: float) -> list[Span]:
    """The words of a segment with refined starts, in order and without overlaps.

    `samples`: the whole sound, -1 to 1. `late_s`: how late the model's starts are in running speech.
    """
    if not spans:
        return []
    zero_s = max(0.0, spans[0].start_s - _MARGIN_S)
    excerpt = samples[round(zero_s * rate_hz) : round((spans[-1].end_s + _MARGIN_S) * rate_hz)]
    if len(excerpt) < rate_hz * _MARGIN_S:
        return spans
    sound, late = _measured(excerpt, rate_hz), round(late_s / _HOP_S)
    starts, least = [], 0
    for span in spans:
        start, end = (round((at_s - zero_s) / _HOP_S) for at_s in span)
        onset = _behind_pause(start, end, sound.pauses)
        place = (start - late, _AROUND_FRAMES) if onset is None else (onset, _ONSET_FRAMES)
        starts.append(_sharpest(sound.change, *place, least))
        least = starts[-1] + _SHORTEST_FRAMES
    return _spans(spans, [zero_s + start * _HOP_S for start in starts])


def _spans(spans: list[Span], starts_s: list[float]) -> list[Span]:
    """Words with other starts; each ends before the next one starts."""
    ends_s = [max(span.end_s, start_s + _HOP_S) for span, start_s in zip(spans, starts_s, strict=True)]
    following = [*starts_s[1:], ends_s[-1]]
    return [Span(start, min(end, limit)) for start, end, limit in zip(starts_s, ends_s, following, strict=True)]


def _sharpest(change: Curve, expected: int, around: int, least: int) -> int:
    """The frame near the expected one where the sound changes most; not before `least`."""
    frames = np.arange(max(expected - around, least, 0), min(expected + around + 1, len(change)))
    if not len(frames):
        return max(expected, least)
    nearness = np.exp(-(((frames - expected) / _SPREAD_FRAMES) ** 2) / 2)
    return int(frames[np.argmax(change[frames] * nearness)])


def _behind_pause(start: int, end: int, pauses: NDArray[np.bool_]) -> int | None:
    """Where the sound begins again, if a word begins with a pause, or with the tail of the sound before one."""
    paused = np.flatnonzero(pauses[start : min(start + _TAIL_FRAMES, end)])
    if not len(paused):
        return None
    length = int(np.argmin(pauses[start + paused[0] : end]))
    return start + int(paused[0]) + length if length else None  # 0: it does not end within the word


def _measured(samples: Any, rate_hz: int) -> _Sound:
    power = _power(np.asarray(samples, np.float64), rate_hz)
    level_db = 10 * np.log10(power.sum(axis=1) + 1e-9)
    bands = np.log(power @ _filters(rate_hz, power.shape[1]).T + 1e-6)
    floor = np.percentile(bands, 20)  # what lies in the noise does not change
    return _Sound(_pauses(level_db), _change(np.maximum(bands, floor)))


def _power(samples: Curve, rate_hz: int) -> NDArray[np.float64]:
    """Power spectrum of each frame; frames are centred on multiples of 10 ms."""
    width, hop = round(_WINDOW_S * rate_hz), round(_HOP_S * rate_hz)
    padded = np.pad(samples, width // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, width)[::hop] * np.hanning(width)
    power: NDArray[np.float64] = np.abs(np.fft.rfft(frames, 1 << (width - 1).bit_length())) ** 2 / width
    return power


def _filters(rate_hz: int, bins: int) -> NDArray[np.float64]:
    """Triangular bands, one a row."""
    edges = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), _BANDS + 2)
    heights = _mel(np.linspace(0, rate_hz / 2, bins))
    rising = (heights - edges[:-2, None]) / (edges[1] - edges[0])
    bands: NDArray[np.float64] = np.clip(np.minimum(rising, 2 - rising), 0, None)
    return bands


def _mel(hz: Any) -> Any:
    """Source: O'Shaughnessy, Speech Communication, 1987."""
    return 2595 * np.log10(1 + hz / 700)


def _pauses(level_db: Curve) -> NDArray[np.bool_]:
    quiet_db, loud_db = np.percentile(level_db, (10, 95))
    if loud_db - quiet_db < _LEAST_RANGE_DB:
        return np.zeros(len(level_db), bool)
    quiet: NDArray[np.bool_] = level_db < quiet_db + _QUIET_SHARE * (loud_db - quiet_db)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], quiet, [0]))))
    for first, end in edges.reshape(-1, 2):
        quiet[first:end] = end - first >= _PAUSE_FRAMES
    return quiet


def _change(bands: NDArray[np.float64]) -> Curve:
    """Distance between the mean spectra before and behind each frame."""
    sums = np.cumsum(np.pad(bands, ((_COMPARED + 1, _COMPARED), (0, 0)), mode="edge"), axis=0)
    means = (sums[_COMPARED:] - sums[:-_COMPARED]) / _COMPARED
    distance = np.sqrt(((means[_COMPARED:] - means[:-_COMPARED]) ** 2).mean(axis=1))
    return np.asarray(distance[: len(bands)], np.float64)

"""Loudness: what ffmpeg's ebur128 measured, and the gain and limiter that normalise. Pure.

One gain for all of it, and a limiter where peaks would clip; loudnorm, where it cannot be linear, misses the target by
several LU once its peak is lowered. Source: ITU-R BS.1770-4; EBU R 128; ffmpeg-filters(1), ebur128 and alimiter.
"""

import math
import re
from dataclasses import dataclass

from processors.errors import ToolFailed

#: Peaks below it nobody hears.
_SILENCE_DBFS = -60.0
#: The absolute gate of BS.1770: what is said to have this loudness was not measured.
_GATE_LUFS = -70.0
#: True peaks lie between samples: the limiter works at four times the rate. Source: ITU-R BS.1770-4, annex 2.
_LIMITER_RATE_HZ = 192_000
#: How far from the target is near enough, LU, and how far the encoder may overshoot the peak, dB.
_MISS_LU, _OVER_DB = 0.5, 0.5
#: Limiting takes back a part of every gain.
_EAGER = 1.7
#: Bounds of an aim, dB.
_MOST_GAIN_DB, _LOWEST_LIMIT_DBTP = 60.0, -9.0
#: A filter of ffmpeg and its options.
Filter = tuple[str, dict[str, str]]

_NUMBER = r"(-?(?:\d+\.?\d*|inf|nan))"
_SUMMARY = re.compile(
    rf"Integrated loudness:\s+I:\s+{_NUMBER} LUFS\s+Threshold:\s+{_NUMBER} LUFS\s+"
    rf"Loudness range:\s+LRA:\s+{_NUMBER} LU\s.*?Peak:\s+{_NUMBER} dBFS",
    re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Loudness:
    """What ebur128 heard."""

    lufs: float
    threshold_lufs: float
    range_lu: float
    peak_dbfs: float

    @property
    def is_silence(self) -> bool:
        """Whether nobody would hear anything."""
        return not self.peak_dbfs > _SILENCE_DBFS

    @property
    def is_measured(self) -> bool:
        """Whether there is a loudness to normalise by: not of what is shorter than a block of 400 ms."""
        return math.isfinite(self.lufs) and self.lufs > _GATE_LUFS


def read_loudness(words: str) -> Loudness:
    """The last summary in what ffmpeg printed, with the highest peak of all.

    The meter begins again where the form of the sound changes. Raises ToolFailed when there is none.
    """
    found = _SUMMARY.findall(words)
    if not found:
        raise ToolFailed("ffmpeg did not tell how loud the sound is.", detail=words[-1000:])
    lufs, threshold, loudness_range, _ = (float(number) for number in found[-1])
    peak = max(float(numbers[-1]) for numbers in found)
    return Loudness(lufs=lufs, threshold_lufs=threshold, range_lu=loudness_range, peak_dbfs=peak)


def measuring() -> dict[str, str]:
    """Options of ebur128: a summary only, with true peaks."""
    return {"peak": "true", "framelog": "verbose"}


@dataclass(frozen=True)
class Aim:
    """What a try does."""

    gain_db: float
    #: Highest true peak behind the limiter.
    limit_dbtp: float


def first_aim(measured: Loudness, target_lufs: float, peak_dbtp: float) -> Aim:
    """The gain that is missing, limited at the peak that is allowed."""
    return _bounded(target_lufs - measured.lufs, peak_dbtp)


def next_aim(aim: Aim, measured: Loudness, reached: Loudness, target_lufs: float, peak_dbtp: float) -> Aim:
    """What to try after a miss: the limit follows the encoder's overshoot, the gain what the limiter took."""
    over_db = reached.peak_dbfs - peak_dbtp
    limit_dbtp = aim.limit_dbtp
    if over_db > _OVER_DB:  # below what there is: a limit above it changes nothing
        limit_dbtp = min(limit_dbtp, measured.peak_dbfs + aim.gain_db) - over_db
    share = _EAGER if limits(aim, measured) else 1.0
    return _bounded(aim.gain_db + (target_lufs - reached.lufs) * share, limit_dbtp)


def _bounded(gain_db: float, limit_dbtp: float) -> Aim:
    return Aim(min(max(gain_db, -_MOST_GAIN_DB), _MOST_GAIN_DB), max(limit_dbtp, _LOWEST_LIMIT_DBTP))


def miss(reached: Loudness, target_lufs: float, peak_dbtp: float) -> float:
    """How far a result is from what is accepted, in dB; 0: near enough.

    A peak counts twice: it is a maximum, while loudness has a tolerance of 1 LU. Source: EBU R 128,
    version 4.0; Apple Podcasts, audio requirements.
    """
    over_db = max(0.0, reached.peak_dbfs - peak_dbtp - _OVER_DB)
    return 2 * over_db + max(0.0, abs(reached.lufs - target_lufs) - _MISS_LU)


def limits(aim: Aim, measured: Loudness) -> bool:
    """Whether peaks would lie above the limit."""
    return measured.peak_dbfs + aim.gain_db > aim.limit_dbtp


def normalising(aim: Aim, measured: Loudness) -> tuple[Filter, ...]:
    """Filters: the gain alone, where it clips nothing; else a limiter behind it."""
    gain: Filter = ("volume", {"volume": f"{aim.gain_db:.2f}dB"})
    if not limits(aim, measured):
        return (gain,)
    limiter = {"limit": f"{10 ** (aim.limit_dbtp / 20):.4f}", "level": "false", "latency": "true"}
    return gain, ("aresample", {"osr": str(_LIMITER_RATE_HZ)}), ("alimiter", limiter)

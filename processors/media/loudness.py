"""Loudness: what ffmpeg's ebur128 measured, and how loudnorm is then told to normalise. Pure.

Source: ITU-R BS.1770-4; EBU R 128; ffmpeg-filters(1), ebur128 and loudnorm. loudnorm's own measurement leaves out the
end of what it hears: 0.4 LU on a clip of 11 s.
"""

import math
import re
from dataclasses import dataclass

from processors.errors import ToolFailed

#: Peaks below it nobody hears.
_SILENCE_DBFS = -60.0
#: The absolute gate of BS.1770: what is said to have this loudness was not measured.
_GATE_LUFS = -70.0
#: What loudnorm takes for a loudness range, LU. A target below the measured one makes it compress.
_MIN_RANGE_LU, _MAX_RANGE_LU = 1.0, 20.0
#: loudnorm looks 3 s ahead, and is of no use on less.
_LOUDNORM_S = 3.5
_LOWEST_LOUDNORM_DBTP = -9.0
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
    """The last summary in what ffmpeg said. Raises ToolFailed when there is none."""
    found = _SUMMARY.findall(words)
    if not found:
        raise ToolFailed("ffmpeg did not tell how loud the sound is.", detail=words[-1000:])
    lufs, threshold, loudness_range, peak = (float(number) for number in found[-1])
    return Loudness(lufs=lufs, threshold_lufs=threshold, range_lu=loudness_range, peak_dbfs=peak)


def measuring() -> dict[str, str]:
    """Options of ebur128: a summary only, with true peaks."""
    return {"peak": "true", "framelog": "verbose"}


def normalising(measured: Loudness, aim_lufs: float, aim_dbtp: float, duration_s: float) -> tuple[Filter, ...]:
    """One gain for all of it where that does not clip, gentle limiting where it would; and then no peak above."""
    gain: Filter = ("volume", {"volume": f"{aim_lufs - measured.lufs:.2f}dB"})
    if duration_s >= _LOUDNORM_S:
        gain = ("loudnorm", _loudnorm(measured, aim_lufs, max(aim_dbtp, _LOWEST_LOUDNORM_DBTP)))
    return gain, ("alimiter", {"limit": f"{10 ** (aim_dbtp / 20):.4f}", "level": "false"})


def _loudnorm(measured: Loudness, aim_lufs: float, aim_dbtp: float) -> dict[str, str]:
    return {
        "I": f"{aim_lufs:g}",
        "TP": f"{aim_dbtp:g}",
        "LRA": f"{min(max(measured.range_lu, _MIN_RANGE_LU), _MAX_RANGE_LU):g}",
        "measured_I": f"{min(measured.lufs, 0.0):g}",
        "measured_TP": f"{measured.peak_dbfs:g}",
        # loudnorm takes 0 for "not measured", and limits.
        "measured_LRA": f"{max(measured.range_lu, 0.1):g}",
        "measured_thresh": f"{min(measured.threshold_lufs, 0.0):g}",
        "linear": "true",
    }

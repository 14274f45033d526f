"""The sound of the corpus: a bed whose pitch tells the second that it belongs to, and beeps that go with flashes.

Written into every film, and found again in whatever the pipeline published.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Mono samples, -1 to 1.
Samples = NDArray[np.float32]

RATE_HZ = 48_000
#: Pitch of the bed in the second 0, 1, … 9, 0, …: far enough apart to be told from each other in half a second.
_LOWEST_HZ, _STEP_HZ, _STEPS = 400, 100, 10
_BED, _BEEP = 0.1, 0.5
BEEP_HZ, BEEP_S = 2500, 0.1
#: Between a beep and what is no beep, as a share of the loudest.
_BEEP_SHARE = 0.4
#: Width of the window in which a beep's level is taken. Half of it is how early a beep is found.
_WINDOW_S = 0.004
#: What counts as silence, RMS: -74 dB.
SILENT = 0.0002


def bed(duration_s: float, beeps_at_s: Iterable[float] = (), *, starts_at_s: float = 0.0) -> Samples:
    """So many seconds of sound whose clock begins at `starts_at_s`; beeps are counted from there too."""
    times = starts_at_s + np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    pitch_hz = _LOWEST_HZ + _STEP_HZ * (np.floor(times) % _STEPS)
    sound = _BED * np.sin(2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ)
    for at_s in beeps_at_s:
        beeping = (times >= at_s - 1e-9) & (times < at_s + BEEP_S)
        sound = np.where(beeping, _BEEP * np.sin(2 * np.pi * BEEP_HZ * times), sound)
    return sound.astype(np.float32)


def pitch_hz(clock_s: float) -> int:
    """Pitch of the bed at that moment."""
    return _LOWEST_HZ + _STEP_HZ * (int(clock_s) % _STEPS)


def heard_hz(sound: Samples, rate_hz: int) -> int | None:
    """The pitch of the bed in a piece of sound; None for silence."""
    if len(sound) < rate_hz // 10 or rms(sound) < SILENT:
        return None
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), n=rate_hz))
    low, high = _LOWEST_HZ - _STEP_HZ // 2, _LOWEST_HZ + _STEP_HZ * _STEPS - _STEP_HZ // 2
    loudest = low + int(spectrum[low:high].argmax())
    return round((loudest - _LOWEST_HZ) / _STEP_HZ) * _STEP_HZ + _LOWEST_HZ


def rms(sound: Samples) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) if len(sound) else 0.0


def beeps(sound: Samples, rate_hz: int) -> list[float]:
    """When beeps begin, seconds from the first sample."""
    level = _level(sound, rate_hz)
    if not len(level) or level.max() < SILENT:
        return []
    beeping = np.concatenate([[False], level > _BEEP_SHARE * level.max()])
    begins = np.flatnonzero(beeping[1:] & ~beeping[:-1])
    return _apart([float(at) / rate_hz + _WINDOW_S * (1 - _BEEP_SHARE) for at in begins])


def _level(sound: Samples, rate_hz: int) -> Any:
    """How loud the pitch of a beep is in the window that begins at each sample, less what lies around it."""
    width = round(_WINDOW_S * rate_hz)
    turns = np.exp(-2j * np.pi * BEEP_HZ * np.arange(len(sound)) / rate_hz)
    sums = np.concatenate([[0], np.cumsum(sound * turns)])
    return np.abs(sums[width:] - sums[:-width]) * 2 / width


def _apart(times_s: Sequence[float]) -> list[float]:
    """Without those that belong to the one before."""
    kept: list[float] = []
    for at_s in times_s:
        if not kept or at_s - kept[-1] > BEEP_S * 2:
            kept.append(at_s)
    return kept

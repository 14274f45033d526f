"""The grid of a track's frames: where the frames of a steady rate lie, whatever the first one does. Pure."""

import cmath
import math
from collections.abc import Collection
from fractions import Fraction

#: Fewer frames tell nothing.
_MIN_FRAMES = 8
#: How closely frames must follow the grid: length of the mean of their phases, 1 for all the same and 0 for any.
_MIN_STEADINESS = 0.8
#: Nearer than this to the grid a track begins on it: clocks of containers count milliseconds, and round.
_NEAR_S = 0.002


def grid_start_s(times_s: Collection[float], rate: Fraction, start_s: float) -> float | None:
    """The time on the grid that is nearest to a track's start; None if the track starts on it or is not steady.

    `times_s`: presentation times of frames, in any order. Writers of fragmented MP4 let the first frame last longer
    than the others; a grid from the first frame would move all the others by up to half a frame.
    """
    if len(times_s) < _MIN_FRAMES:
        return None
    mean = sum(cmath.exp(2j * math.pi * _turns(at_s - start_s, rate)) for at_s in times_s) / len(times_s)
    late_s = cmath.phase(mean) / (2 * math.pi) / float(rate)
    if abs(mean) < _MIN_STEADINESS or abs(late_s) < _NEAR_S:
        return None
    return start_s + late_s


def _turns(late_s: float, rate: Fraction) -> float:
    return late_s * float(rate) % 1.0

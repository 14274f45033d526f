"""The grid of frames does not depend on the first one."""

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.media.frame_grid import grid_start_s

_RATE = Fraction(25)


def test_a_first_frame_that_lasts_longer_does_not_move_the_others() -> None:
    times_s = [0.0, *(0.061406 + number / 25 for number in range(70))]
    assert grid_start_s(times_s, _RATE, 0.0) == pytest.approx(0.021406 - 0.04, abs=0.001)


def test_a_steady_track_begins_on_its_grid() -> None:
    assert grid_start_s([number / 25 for number in range(70)], _RATE, 0.0) is None


def test_a_clock_of_milliseconds_is_steady() -> None:
    rate = Fraction(30000, 1001)
    assert grid_start_s([round(float(number / rate), 3) for number in range(200)], rate, 0.0) is None


def test_an_uneven_rate_has_no_grid() -> None:
    chance = random.Random(1)
    assert grid_start_s(sorted(chance.uniform(0, 10) for _ in range(250)), _RATE, 0.0) is None


def test_a_few_frames_tell_nothing() -> None:
    assert grid_start_s([0.0, 0.06, 0.1], _RATE, 0.0) is None


@given(late_s=st.floats(-0.019, 0.019), start_s=st.floats(-1, 100), skipped=st.integers(0, 100_000))
def test_the_grid_is_found_from_frames_anywhere_in_the_film(late_s: float, start_s: float, skipped: int) -> None:
    times_s = [start_s + late_s + float((skipped + number) / _RATE) for number in range(100)]
    assert (grid_start_s(times_s, _RATE, start_s) or start_s) - start_s == pytest.approx(late_s, abs=0.0021)

"""The bed tells the second that it belongs to, and beeps are found to the millisecond."""

import numpy as np
import pytest

from tests.inputs import tone


def test_every_second_has_its_pitch() -> None:
    sound = tone.bed(12.0)
    heard = [
        tone.heard_hz(sound[round((second + 0.2) * tone.RATE_HZ) : round((second + 0.8) * tone.RATE_HZ)], tone.RATE_HZ)
        for second in range(12)
    ]
    assert heard == [tone.pitch_hz(second) for second in range(12)]
    assert heard[10] == heard[0] != heard[1]


def test_silence_has_no_pitch() -> None:
    assert tone.heard_hz(np.zeros(tone.RATE_HZ, np.float32), tone.RATE_HZ) is None


def test_beeps_are_found_where_they_begin() -> None:
    assert tone.beeps(tone.bed(4.0, (1.0, 2.5)), tone.RATE_HZ) == pytest.approx([1.0, 2.5], abs=0.001)
    assert tone.beeps(tone.bed(4.0, (6.0,), starts_at_s=5.0), tone.RATE_HZ) == pytest.approx([1.0], abs=0.001)


def test_silence_has_no_beeps() -> None:
    assert tone.beeps(np.zeros(tone.RATE_HZ, np.float32), tone.RATE_HZ) == []

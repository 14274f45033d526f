"""Starts of words: where their sound begins, in order, whatever the model gave."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from processors.models.word_starts import Span, refined

_RATE_HZ = 16_000


def _tone(hz: float, seconds: float) -> "np.typing.NDArray[np.float64]":
    return 0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * _RATE_HZ)) / _RATE_HZ)


def _silence(seconds: float) -> "np.typing.NDArray[np.float64]":
    noise: np.typing.NDArray[np.float64] = np.random.default_rng(1).normal(0, 0.001, round(seconds * _RATE_HZ))
    return noise


def test_a_word_behind_a_pause_starts_with_its_sound() -> None:
    sound = np.concatenate([_silence(0.5), _tone(300, 0.5), _silence(1.0), _tone(400, 0.5), _silence(0.5)])
    first, second = refined([Span(0.1, 1.0), Span(1.0, 2.5)], sound, _RATE_HZ, 0.0)
    assert abs(first.start_s - 0.5) <= 0.03
    assert abs(second.start_s - 2.0) <= 0.03
    assert second.end_s == 2.5


def test_a_word_in_running_speech_starts_where_the_sound_changes() -> None:
    sound = np.concatenate([_tone(300, 1.0), _tone(900, 0.5), _tone(1700, 0.5), _silence(0.5)])
    words = refined([Span(0.0, 1.06), Span(1.06, 1.54), Span(1.54, 2.0)], sound, _RATE_HZ, 0.05)
    assert [round(word.start_s, 1) for word in words[1:]] == [1.0, 1.5]
    assert all(abs(word.start_s - at_s) <= 0.02 for word, at_s in zip(words[1:], (1.0, 1.5), strict=True))


def test_a_word_that_ends_in_a_pause_keeps_its_start() -> None:
    sound = np.concatenate([_silence(0.5), _tone(300, 0.6), _silence(1.5)])
    (word,) = refined([Span(0.5, 2.0)], sound, _RATE_HZ, 0.0)
    assert abs(word.start_s - 0.5) <= 0.03


def test_sound_that_is_too_short_to_judge_keeps_its_times() -> None:
    assert refined([Span(0.0, 0.1)], _tone(300, 0.1), _RATE_HZ, 0.0) == [(0.0, 0.1)]
    assert refined([], _tone(300, 1.0), _RATE_HZ, 0.0) == []


@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1)), min_size=1, max_size=12),
    st.lists(st.sampled_from([0.0, 300.0, 900.0]), min_size=1, max_size=6),
)
def test_words_stay_in_order_and_apart(times: list[tuple[float, float]], tones: list[float]) -> None:
    spans = [Span(start_s, start_s + length_s) for start_s, length_s in sorted(times)]
    sound = np.concatenate([_tone(hz, 0.5) if hz else np.zeros(8000) for hz in tones])
    words = refined(spans, sound, _RATE_HZ, 0.05)
    assert len(words) == len(spans)
    assert all(one.start_s <= one.end_s for one in words)
    in_order = all(one.end_s <= two.start_s and one.start_s < two.start_s for one, two in pairwise(words))
    assert in_order or words == spans  # too short to judge

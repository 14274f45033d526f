"""The speech model: an English-only one invents nothing for speech of another language."""

import pytest

from processors.models.whisper import Guesses, is_english


@pytest.mark.parametrize("tag", [None, "en", "eng", "en-GB", "ENG"])
def test_what_may_be_english_is_transcribed(tag: str | None) -> None:
    assert is_english(tag)


@pytest.mark.parametrize("tag", ["de", "deu", "fra", "enm"])
def test_what_is_tagged_otherwise_is_not(tag: str) -> None:
    assert not is_english(tag)


def _words(*words: tuple[str, float]) -> list[dict[str, str | float]]:
    return [{"text": text, "confidence": confidence} for text, confidence in words]


def test_words_that_the_model_is_unsure_of_are_a_guess() -> None:
    assert Guesses().contain(_words((" Guten", 0.2), (" Arbent,", 0.3)))
    assert not Guesses().contain(_words((" Good", 0.7), (" evening.", 0.9)))
    assert not Guesses().contain([])


def test_the_repetition_of_a_guess_is_a_guess() -> None:
    assert Guesses().contain(_words((" Uba", 0.2), (" Vizen,", 0.4), *((" Uba", 0.95), (" Vizen,", 0.99)) * 3))


def test_the_repetition_of_a_guess_in_the_next_segment_is_a_guess() -> None:
    guesses = Guesses()
    assert guesses.contain(_words((" Huertshbearer.", 0.02)))
    assert guesses.contain(_words((" Huertshbearer,", 0.95), (" Huertshbearer.", 0.97)))


def test_a_word_of_a_guess_is_judged_again_after_speech_that_was_understood() -> None:
    guesses = Guesses()
    assert guesses.contain(_words((" Hoyter", 0.1), (" the", 0.2)))
    assert not guesses.contain(_words((" Tomorrow", 0.9), (" morning.", 0.9)))
    assert not guesses.contain(_words((" the", 0.9), (" rain.", 0.8)))

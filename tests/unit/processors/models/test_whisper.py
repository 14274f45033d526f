"""The speech model: an English-only one invents nothing for speech of another language."""

import pytest

from processors.models.whisper import is_english, is_guessed


@pytest.mark.parametrize("tag", [None, "en", "eng", "en-GB", "ENG"])
def test_what_may_be_english_is_transcribed(tag: str | None) -> None:
    assert is_english(tag)


@pytest.mark.parametrize("tag", ["de", "deu", "fra", "enm"])
def test_what_is_tagged_otherwise_is_not(tag: str) -> None:
    assert not is_english(tag)


def _words(*words: tuple[str, float]) -> list[dict[str, str | float]]:
    return [{"text": text, "confidence": confidence} for text, confidence in words]


def test_words_that_the_model_is_unsure_of_are_a_guess() -> None:
    assert is_guessed(_words((" Guten", 0.2), (" Arbent,", 0.3)))
    assert not is_guessed(_words((" Good", 0.7), (" evening.", 0.9)))
    assert not is_guessed([])


def test_the_repetition_of_a_guess_is_a_guess() -> None:
    assert is_guessed(_words((" Uba", 0.2), (" Vizen,", 0.4), *((" Uba", 0.95), (" Vizen,", 0.99)) * 3))

"""The cutting of a transcript into passages."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from processors.transcripts.passages import _ATOM, MAX_TOKENS, MIN_TOKENS, Speech, _tokens, passages

_WORDS = st.sampled_from(
    [
        "a",
        "of",
        "time",
        "country.",
        "understanding",
        "serve",
        "nation!",
        "Wirklichkeit",
        "今日は",
        "x" * 90,
        "it's",
        "—",
    ]
)


def token_count(text: str) -> int:
    return sum(_tokens(atom) for atom in _ATOM.findall(text))


@st.composite
def speeches(draw: st.DrawFn) -> list[Speech]:
    """Words with times, in segments, with pauses here and there."""
    found, at_ms, segment = [], 0, 0
    for word in draw(st.lists(_WORDS, max_size=600)):
        at_ms += draw(st.sampled_from([0, 0, 0, 40, 900]))
        segment += draw(st.sampled_from([0, 0, 0, 0, 1]))
        found.append(Speech(f" {word}", at_ms, at_ms + 300, segment))
        at_ms += 300
    return found


@given(speeches())
def test_passages_hold_every_word_in_order_within_the_bounds_of_length(speech: list[Speech]) -> None:
    found = passages(speech)
    said = "".join("".join(piece.text.split()) for piece in speech)
    assert token_count(" ".join(piece.text for piece in speech)) < MIN_TOKENS or all(
        MIN_TOKENS <= token_count(passage.text) <= MAX_TOKENS + 1 for passage in found
    )
    place = 0
    for passage in found:
        letters = "".join(passage.text.split())
        assert letters
        begin = said.find(letters, 0, place + len(letters))
        assert begin >= 0, "a passage leaves words out, or has words that were not said"
        place = max(place, begin + len(letters))
    assert place == len(said)


@given(speeches())
def test_neighbours_share_a_tenth_to_a_fifth(speech: list[Speech]) -> None:
    found = passages([Speech(f" w{n:07}", n * 10, n * 10 + 10, n) for n, _ in enumerate(speech)])
    for left, right in pairwise(found):
        shared = set(left.segments) & set(right.segments)
        assert 0.10 <= len(shared) / len(left.segments) <= 0.20


@given(speeches())
def test_a_passage_spans_the_time_of_its_own_segments(speech: list[Speech]) -> None:
    for passage in passages(speech):
        inside = [piece for piece in speech if piece.segment in passage.segments]
        assert passage.start_ms < passage.end_ms
        assert inside[0].start_ms <= passage.start_ms
        assert passage.end_ms <= inside[-1].end_ms
        assert list(passage.segments) == sorted(set(passage.segments))


def test_short_speech_is_one_passage_with_its_range() -> None:
    [only] = passages([Speech(" And so, my fellow Americans,", 320, 3_000, 0), Speech(" ask not.", 3_500, 5_000, 1)])
    assert (only.text, only.start_ms, only.end_ms) == ("And so, my fellow Americans, ask not.", 320, 5_000)
    assert only.segments == (0, 1)


def test_speech_is_cut_where_sentences_end() -> None:
    sentence = " This sentence has some words in it and then it comes to its end."
    long = [Speech(sentence, n * 4_000, n * 4_000 + 4_000, n) for n in range(40)]
    found = passages(long)
    assert len(found) > 3
    assert all(re.match(r"This sentence", passage.text) and passage.text.endswith("end.") for passage in found)


def test_speech_without_sentences_is_cut_at_its_pauses() -> None:
    words = [
        Speech(" word", n * 400 + (n // 30) * 2_000, n * 400 + (n // 30) * 2_000 + 400, n // 30) for n in range(600)
    ]
    assert all(
        (passage.segments[-1] + 1) * 30 * 400 + passage.segments[-1] * 2_000 == passage.end_ms
        for passage in passages(words)
    )


def test_nothing_said_gives_no_passages() -> None:
    assert passages([]) == []
    assert passages([Speech("   ", 0, 100, 0)]) == []


def test_scripts_without_spaces_are_cut_too() -> None:
    [first, *rest] = passages([Speech("今日は良い天気です。" * 40, 0, 60_000, 0)])
    assert rest
    assert first.text.endswith("。")
    assert MIN_TOKENS <= token_count(first.text) <= MAX_TOKENS

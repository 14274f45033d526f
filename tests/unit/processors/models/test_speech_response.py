"""Whatever an endpoint returns, its texts follow each other."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from processors.models.speech_response import segments_of


def _found(*chunks: tuple[float | None, float | None, str]) -> list[tuple[int, int, str]]:
    response = {"text": "", "chunks": [{"text": text, "timestamp": [begin, end]} for begin, end, text in chunks]}
    return [(one.start_ms, one.end_ms, one.text) for one in segments_of(response, 0.0, 30.0, 0)]


def test_a_text_does_not_wait_for_the_end_of_one_that_it_overlaps() -> None:
    assert _found((1.0, 8.5, "a" * 80), (5.3, 11.0, "b" * 110)) == [(1000, 5300, "a" * 80), (5300, 11_000, "b" * 110)]


def test_a_text_that_begins_before_the_last_one_is_shown_before_it() -> None:
    found = _found((6.0, 8.0, "It was the first."), (4.0, 9.0, "That is how it began."))
    assert [text for *_, text in found] == ["That is how it began.", "It was the first."]
    assert found[0][0] == 4000 and 6000 <= found[0][1] == found[1][0] <= 8000


def test_texts_without_times_follow_the_last_one() -> None:
    assert _found((None, 2.0, "one"), (None, None, "two")) == [(0, 2000, "one"), (2000, 30_000, "two")]


_TIME = st.one_of(st.none(), st.floats(-5, 40))


@given(chunks=st.lists(st.tuples(_TIME, _TIME, st.text("ab ", max_size=9)), max_size=8))
def test_texts_never_overlap_and_none_is_lost(chunks: list[Any]) -> None:
    found = _found(*chunks)
    assert all(0 <= start_ms <= end_ms <= 30_000 for start_ms, end_ms, _ in found)
    assert all(one[1] <= other[0] for one, other in pairwise(found))
    assert sorted(text for *_, text in found) == sorted(text.strip() for *_, text in chunks if text.strip())

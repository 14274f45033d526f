"""Passages overlap, results do not."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from processors.transcripts.passages import Speech, passages
from web.search.index import Hit
from web.search.merging import common_chars, merged


def hit(n: int, start_ms: int, end_ms: int, text: str, asset_id: str = "a") -> Hit:
    return Hit(n, asset_id, start_ms, end_ms, text, score=1 / (n + 1))


def never(_hit: Hit, _part: Hit) -> bool:
    return False


def always(_hit: Hit, _part: Hit) -> bool:
    return True


BEFORE = hit(0, 0, 10_000, "Once upon a time. Ask not.")
AFTER = hit(1, 8_000, 20_000, "Ask not. The end of it.")


def test_of_two_overlapping_hits_the_better_one_is_kept() -> None:
    assert merged([BEFORE, AFTER], never) == [BEFORE]
    assert merged([AFTER, BEFORE], never) == [AFTER]


def test_a_worse_hit_is_cut_to_its_own_part() -> None:
    assert merged([BEFORE, AFTER], always) == [BEFORE, AFTER._replace(start_ms=10_000, text="The end of it.")]
    assert merged([AFTER, BEFORE], always) == [AFTER, BEFORE._replace(end_ms=8_000, text="Once upon a time.")]


def test_one_between_two_better_ones_keeps_its_middle() -> None:
    last = hit(2, 18_000, 30_000, "of it. More.")
    found = merged([BEFORE, last, AFTER], always)
    assert found[2] == AFTER._replace(start_ms=10_000, end_ms=18_000, text="The end")


def test_neighbours_without_overlap_and_other_assets_are_left_alone() -> None:
    apart = [BEFORE, hit(1, 10_000, 20_000, "The end."), hit(2, 0, 10_000, BEFORE.text, "b")]
    assert merged(apart, never) == apart


def test_a_part_without_words_is_no_result() -> None:
    assert merged([BEFORE, hit(1, 8_000, 12_000, "Ask not.")], always) == [BEFORE]


def test_the_overlap_is_the_longest_one() -> None:
    assert common_chars("ask not, not", "not, not now") == len("not, not")
    assert common_chars("ab", "cd") == 0


@given(st.lists(st.integers(1, 9), min_size=30, max_size=400), st.randoms(use_true_random=False), st.booleans())
def test_no_moment_is_returned_twice_and_no_kept_one_is_lost(lengths: list[int], chance: object, keep: bool) -> None:
    """Over passages as they are really cut: every word is a number, so that each stands in the speech once."""
    speech = [Speech(f" {n:0{length}}", n * 500, n * 500 + 400, 0) for n, length in enumerate(lengths)]
    hits = [hit(n, p.start_ms, p.end_ms, p.text) for n, p in enumerate(passages(speech))]
    chance.shuffle(hits)  # type: ignore[attr-defined] # hypothesis's own Random
    results = merged(hits, always if keep else never)
    words = [word for result in results for word in result.text.split()]
    assert len(words) == len(set(words))
    assert all(a.end_ms <= b.start_ms or b.end_ms <= a.start_ms for a, b in combinations(results, 2))
    assert results[:1] == hits[:1]
    if keep:
        assert sorted(words, key=int) == [f"{n:0{length}}" for n, length in enumerate(lengths)]

"""The fusion of rankings."""

import pytest

from web.search.ranking import fused


def test_what_two_rankings_agree_on_comes_first() -> None:
    assert [item for item, _ in fused([["a", "b", "c"], ["b", "d"]])] == ["b", "a", "d", "c"]


def test_scores_are_sums_of_reciprocal_places() -> None:
    assert dict(fused([["a", "b"], ["b"]])) == pytest.approx({"a": 1 / 61, "b": 1 / 62 + 1 / 61})


def test_nothing_ranked_is_nothing_fused() -> None:
    assert fused([[], []]) == []

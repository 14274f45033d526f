"""The fusion of rankings."""

import pytest

from web.search.ranking import fused


def test_items_of_both_rankings_come_first() -> None:
    assert [item for item, _ in fused([["a", "b", "c"], ["b", "d"]])] == ["b", "a", "d", "c"]


def test_scores_are_sums_of_reciprocal_ranks() -> None:
    assert dict(fused([["a", "b"], ["b"]])) == pytest.approx({"a": 1 / 61, "b": 1 / 62 + 1 / 61})


def test_empty_rankings_have_no_result() -> None:
    assert fused([[], []]) == []

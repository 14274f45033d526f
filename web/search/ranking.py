"""Reciprocal rank fusion of several rankings. Pure."""

from collections.abc import Hashable, Sequence
from typing import TypeVar

#: Damping of the first ranks over the later ones.
#: Source: Cormack, Clarke, Buettcher: Reciprocal Rank Fusion outperforms Condorcet, SIGIR 2009.
_K = 60

T = TypeVar("T", bound=Hashable)


def fused(rankings: Sequence[Sequence[T]]) -> list[tuple[T, float]]:
    """All ranked items, best first, with their scores: the sum of 1 / (60 + rank).

    Only ranks count, so that rankings with different measures can be fused.
    """
    scores: dict[T, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, 1):
            scores[item] = scores.get(item, 0.0) + 1 / (_K + rank)
    return sorted(scores.items(), key=lambda scored: -scored[1])

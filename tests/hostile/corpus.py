"""The corpus: every family's cases, and a draw of so many of them that is the same for the same seed."""

import random
from collections.abc import Iterator, Sequence

from tests.hostile import damage, excess, oddities, references
from tests.hostile.cases import Case, Materials

_FAMILIES = (*damage.FAMILIES, *excess.FAMILIES, *references.FAMILIES, *oddities.FAMILIES)
#: Drawn in full before anything else: few, and each another idea.
_ALWAYS = ("whole", "place", "nothing", "link", "bomb")


def everything(materials: Materials) -> list[Case]:
    """All cases there are, in a fixed order; their names are unique."""
    return [case for family in _FAMILIES for case in family(materials)]


def drawn(materials: Materials, count: int, seed: int) -> list[Case]:
    """`count` cases: every family has its turn after every other, and gives them in an order of its own."""
    chance = random.Random(seed)
    by_family: dict[str, list[Case]] = {}
    for case in everything(materials):
        by_family.setdefault(case.name.partition("/")[0], []).append(case)
    for cases in by_family.values():
        chance.shuffle(cases)
    first = [case for family in _ALWAYS for case in by_family.pop(family, [])]
    return [*first, *_in_turn(list(by_family.values()))][:count]


def _in_turn(families: Sequence[list[Case]]) -> Iterator[Case]:
    for turn in range(max(map(len, families))):
        for cases in families:
            if turn < len(cases):
                yield cases[turn]

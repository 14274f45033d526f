"""Counts of cache lookups by owner, at one replica and of all. In memory; safe to lose."""

from collections.abc import Mapping
from typing import NamedTuple

from cachetools import LRUCache

#: Owners whose counts are kept; the longest unused ones are dropped.
MAX_OWNERS = 10_000


class Lookups(NamedTuple):
    """Numbers of cache lookups by outcome."""

    hits: int = 0
    misses: int = 0

    def plus(self, other: "Lookups") -> "Lookups":
        """The sum of both."""
        return Lookups(self.hits + other.hits, self.misses + other.misses)

    @property
    def hit_ratio(self) -> float | None:
        """Share of the lookups that were hits; None before the first."""
        count = self.hits + self.misses
        return round(self.hits / count, 4) if count else None


class LookupCounts:
    """Lookups by owner; None: of everybody. They are counted here, until other replicas know of them."""

    def __init__(self) -> None:
        self._unshared: LRUCache[str | None, Lookups] = LRUCache(MAX_OWNERS)
        #: Of all replicas, as of the last exchange.
        self._shared: LRUCache[str | None, Lookups] = LRUCache(MAX_OWNERS)

    def count(self, owner: str | None, *, hit: bool) -> None:
        """Count a lookup by an owner, or by an operator without one."""
        one = Lookups(int(hit), int(not hit))
        for key in {owner, None}:
            self._unshared[key] = one.plus(self._unshared.get(key, Lookups()))

    def of(self, owner: str | None) -> Lookups:
        """All known lookups of an owner; None: of everybody."""
        return self._shared.get(owner, Lookups()).plus(self._unshared.get(owner, Lookups()))

    @property
    def is_shared(self) -> bool:
        """Whether the other replicas know of all lookups here."""
        return not self._unshared

    def take_unshared(self) -> dict[str | None, Lookups]:
        """Lookups for the other replicas; `give_back` what does not reach them."""
        taken = dict(self._unshared)
        self._unshared.clear()
        return taken

    def give_back(self, taken: Mapping[str | None, Lookups]) -> None:
        """Keep lookups that did not reach the other replicas."""
        for owner, lookups in taken.items():
            self._unshared[owner] = lookups.plus(self._unshared.get(owner, Lookups()))

    def learn(self, shared: Mapping[str | None, Lookups]) -> None:
        """Note the lookups of all replicas."""
        self._shared.update(shared)

"""What one replica remembers of cached media: who was just added, what was asked for. All of it is safe to lose."""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

#: Seconds after which an asset that was added is in the read model, or never came.
_PENDING_S = 30.0
#: Assets whose last use is remembered; of a forgotten one counts when it was downloaded.
REMEMBERED = 100_000


class Questions(NamedTuple):
    """Questions that the cache could answer, and that it could not."""

    hits: int = 0
    misses: int = 0


class CacheUsage:
    """Additions that are not visible yet, questions, and last uses.

    `now` is the log's time: all replicas' uses are compared with each other, and with when an asset was downloaded.
    """

    def __init__(self, now: Callable[[], float | None] = time.time) -> None:
        self._now = now
        self._added: dict[str, float] = {}
        #: When each asset was last asked for, seconds since the epoch.
        self.used_at: OrderedDict[str, float] = OrderedDict()
        #: What was counted here and not told to the other replicas yet.
        self.own = Questions()
        #: What all replicas have told.
        self.told = Questions()

    def add(self, asset_id: str) -> bool:
        """Note that an asset is being added; False when it is being added already."""
        now = time.monotonic()
        for known in [known for known, at in self._added.items() if at + _PENDING_S < now]:
            del self._added[known]
        if asset_id in self._added:
            return False
        self._added[asset_id] = now
        return True

    def forget(self, asset_id: str) -> None:
        """It came to nothing, or is gone: the next one to ask adds it."""
        self._added.pop(asset_id, None)
        self.used_at.pop(asset_id, None)

    def use(self, asset_id: str) -> None:
        """Note that an asset was asked for."""
        if (now := self._now()) is not None:
            self.learn({asset_id: now})

    def learn(self, used_at: Mapping[str, float]) -> None:
        """Note when assets were asked for, here or elsewhere. What lies in the future was told by a wrong clock."""
        now = self._now()
        for asset_id, at in used_at.items():
            at = at if now is None else min(at, now)  # noqa: PLW2901
            self.used_at[asset_id] = max(at, self.used_at.get(asset_id, 0.0))
            self.used_at.move_to_end(asset_id)
        while len(self.used_at) > REMEMBERED:
            self.used_at.popitem(last=False)

    def keep_only(self, asset_ids: Collection[str]) -> None:
        """Forget the uses of all others: they are gone."""
        for asset_id in self.used_at.keys() - asset_ids:
            del self.used_at[asset_id]

    def count(self, *, hit: bool) -> None:
        """Count one question."""
        self.own = Questions(self.own.hits + hit, self.own.misses + (not hit))

    @property
    def questions(self) -> Questions:
        """All that is known of."""
        return Questions(self.told.hits + self.own.hits, self.told.misses + self.own.misses)

    @property
    def hit_ratio(self) -> float | None:
        """Share of the questions that were answered out of the cache; None before the first."""
        hits, misses = self.questions
        return round(hits / (hits + misses), 4) if hits + misses else None

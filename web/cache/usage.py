"""Usage of cached media at one replica: pending additions, lookups and last uses. In memory; safe to lose."""

import time
from collections.abc import Callable, Collection, Mapping

from cachetools import FIFOCache, TTLCache

from web.cache.lookups import LookupCounts

#: Seconds after which an asset that was added is in the read model, or never will be.
_PENDING_S = 30.0
_MAX_PENDING = 100_000
#: Assets whose last use is kept; for any other asset its download counts as its last use.
MAX_USES = 100_000


class CacheUsage:
    """Additions that are not in the read model yet, lookups, and last uses.

    `now` is the log's time: uses are compared between replicas, and with the times of downloads.
    """

    def __init__(self, now: Callable[[], float | None] = time.time) -> None:
        self._now = now
        self._pending: TTLCache[str, None] = TTLCache(_MAX_PENDING, _PENDING_S)
        #: Time of each asset's last use, seconds since the epoch. The least recently set ones are dropped.
        self.used_at: FIFOCache[str, float] = FIFOCache(MAX_USES)
        self.lookups = LookupCounts()

    def add(self, asset_id: str) -> bool:
        """Note that an asset is being added; False when it is being added already."""
        if asset_id in self._pending:
            return False
        self._pending[asset_id] = None
        return True

    def forget(self, asset_id: str) -> None:
        """The asset could not be added, or was deleted: the next request adds it."""
        self._pending.pop(asset_id, None)
        self.used_at.pop(asset_id, None)

    def use(self, asset_id: str) -> None:
        """Note a use of an asset."""
        if (now := self._now()) is not None:
            self.learn({asset_id: now})

    def learn(self, used_at: Mapping[str, float]) -> None:
        """Note uses of assets at any replica. A time in the future comes from a wrong clock and counts as now."""
        now = self._now()
        for asset_id, at in used_at.items():
            at = at if now is None else min(at, now)  # noqa: PLW2901
            self.used_at[asset_id] = max(at, self.used_at.get(asset_id, 0.0))

    def keep_only(self, asset_ids: Collection[str]) -> None:
        """Forget the uses of all other assets: they no longer exist."""
        for asset_id in self.used_at.keys() - set(asset_ids):
            del self.used_at[asset_id]

"""What one replica remembers of cached media: who was just added, what was asked for. All of it is safe to lose."""

import time

#: Seconds after which an asset that was added is in the read model, or never came.
_PENDING_S = 30.0


class CacheDesk:
    """Additions that are not visible yet, and counts."""

    def __init__(self) -> None:
        self._added: dict[str, float] = {}
        #: When each asset was last asked for, seconds since the epoch.
        self.asked_at: dict[str, float] = {}
        self.hits = 0
        self.misses = 0

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
        self.asked_at.pop(asset_id, None)

    def count(self, *, hit: bool) -> None:
        """Count one question."""
        self.hits += hit
        self.misses += not hit

    @property
    def hit_ratio(self) -> float | None:
        """Share of the questions that were answered out of the cache; None before the first."""
        asked = self.hits + self.misses
        return round(self.hits / asked, 4) if asked else None

"""Token buckets for rate limits. Pure; the time is an argument."""

from cachetools import FIFOCache


class Buckets:
    """A bucket per key, full at first; the least recently used ones are dropped, which fills them."""

    def __init__(self, remembered: int = 10_000) -> None:
        self._levels: FIFOCache[str, tuple[float, float]] = FIFOCache(remembered)

    def wait_s(self, key: str, now: float, *, per_s: float, burst: float) -> float:
        """Take a token from the bucket: 0.0, or seconds until there is one, when nothing is taken."""
        level = self.level(key, now, per_s=per_s, burst=burst)
        if level < 1.0:
            return (1.0 - level) / per_s
        self._levels[key] = (level - 1.0, now)
        return 0.0

    def level(self, key: str, now: float, *, per_s: float, burst: float) -> float:
        """Tokens in the bucket."""
        level, at = self._levels.get(key, (burst, now))
        return min(burst, level + max(now - at, 0.0) * per_s)

"""Keeps cached media below its size limit: evicts the least recently used, through the log like every deletion."""

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from web.api.cache.maintenance import delete_all
from web.http.problems import Problem
from web.services import Services

log = logging.getLogger("kinolog.web")


class CachedMedia(NamedTuple):
    """One cached file."""

    asset_id: str
    size_bytes: int
    #: Seconds since the epoch.
    updated_at: float


class CacheEviction:
    """Evicts cached media above `cache.max_bytes`, which must be set, every `cache.every_s` seconds."""

    def __init__(self, parts: Services) -> None:
        self._parts, self._settings = parts, parts.settings.cache

    async def run(self) -> None:
        """Evict until cancelled."""
        await self._parts.position.caught_up.wait()
        while True:
            try:
                await self.evict()
            except Problem as error:
                log.warning("cache eviction failed", extra={"error": error.detail})
            await asyncio.sleep(self._settings.every_s)

    async def evict(self) -> None:
        """Delete what is above the limit now. Raises Problem (503)."""
        parts = self._parts
        if parts.cache_sharing is not None:
            await parts.cache_sharing.learn_uses()
        cached = await parts.model.read(_all_cached)
        parts.cache.keep_only({media.asset_id for media in cached})
        excess = to_evict(cached, parts.cache.used_at, self._settings.max_bytes)
        if excess:
            await delete_all(parts, excess, None)
            log.info("cached media evicted", extra={"count": len(excess)})


def to_evict(cached: list[CachedMedia], used_at: Mapping[str, float], max_bytes: int) -> list[str]:
    """Ids of the assets to delete so that the others fit, the least recently used first."""
    total, excess = sum(media.size_bytes for media in cached), list[str]()
    for media in sorted(cached, key=lambda media: max(media.updated_at, used_at.get(media.asset_id, 0.0))):
        if total <= max_bytes:
            break
        total -= media.size_bytes
        excess.append(media.asset_id)
    return excess


def _all_cached(db: sqlite3.Connection) -> list[CachedMedia]:
    size = "ifnull(json_extract(CAST(row AS TEXT), '$.outputs.download.size_bytes'), 0)"
    query = f"SELECT id, {size}, updated_at FROM assets CROSS JOIN asset_rows USING (n) WHERE status = 'CACHED'"  # noqa: S608
    return [CachedMedia._make(row) for row in db.execute(query)]

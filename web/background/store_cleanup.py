"""Removes from the store what nothing references: what killed processes left, and direct uploads of deleted assets."""

import asyncio
import logging

from processors.storage.errors import StoreError
from web.api.store_gc import require_own_store, unclaimed_uploads
from web.http.problems import Problem
from web.readmodel import queries
from web.services import Services

log = logging.getLogger("kinolog.web")

_EVERY_S = 3600.0
#: Age at which a direct upload that no asset or job references is removed: it may be submitted until then.
_UNCLAIMED_S = 2 * 86_400.0


async def watch_store(parts: Services) -> None:
    """Watch the store until cancelled; from when all rows are known, a new one is claimed."""
    await parts.position.caught_up.wait()
    await parts.store_watch.run(lambda: require_own_store(parts))


class StoreCleanup:
    """Cleans up once an hour, by the log's time."""

    def __init__(self, parts: Services) -> None:
        self._parts = parts
        self._store, self._journal, self._model = parts.store, parts.journal, parts.model
        self._position, self._clock = parts.position, parts.clock

    async def run(self) -> None:
        """Clean up until cancelled."""
        await self._position.caught_up.wait()
        while True:
            try:
                await self._clock.within(_EVERY_S)
                await self.clean_up()
            except (OSError, StoreError, Problem) as error:
                log.warning("store cleanup failed", extra={"error": str(error)})
            await asyncio.sleep(_EVERY_S)

    async def clean_up(self) -> None:
        """Remove everything that is abandoned now. Raises OSError, StoreError, Problem (409, 503)."""
        await require_own_store(self._parts)
        now = self._clock.earlier()
        await self._store.sweep(now)
        await self._journal.repair(self._store, self._is_source, now)
        for key in await unclaimed_uploads(self._parts, now - _UNCLAIMED_S):
            await self._store.delete_prefix(key)

    async def _is_source(self, asset_id: str, key: str) -> bool:
        asset = await self._model.read(queries.asset, asset_id)
        return asset is not None and asset.input.object == key

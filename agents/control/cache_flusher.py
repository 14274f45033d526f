"""CacheFlusher: writes rows from memory to the row cache, once the log has them for sure."""

import asyncio
import logging
import time
from collections.abc import Sequence

from streams.worker.app import KinologApp
from streams.worker.cached_changelog import CacheNotWritten
from tables.cache.row_cache import REWRITE_S, RowCache
from tables.changelog_table import ChangelogTable

log = logging.getLogger(__name__)

#: A flush begins when so many rows wait, or so many seconds after the last one.
_MOST_ROWS, _EVERY_S = 50_000, 30.0
#: Seconds from the delivery of a row to its flush: a power cut takes what the only replica of a topic has not synced.
_SYNCED_S = 5.0
_TICK_S = 1.0


class CacheFlusher:
    """Keeps the number of rows in memory below a bound. What a kill leaves unwritten is read from the log again."""

    def __init__(self, app: KinologApp, cache: RowCache, tables: Sequence[ChangelogTable], flush_ms: int) -> None:
        self._cache = cache
        self._app, self._tables = app, [table.rows for table in tables]
        self._synced_s = max(_SYNCED_S, 2 * flush_ms / 1000)
        self._flushed_at = self._spilt_at = time.monotonic()

    async def run(self) -> None:
        """Flush when it is time, until the disk does not take a flush: then rows stay in memory."""
        try:
            while True:
                await asyncio.sleep(_TICK_S)
                if self._is_due():
                    await self.flush()
                    self._flushed_at = time.monotonic()
        except CacheNotWritten as error:
            log.exception("rows stay in memory until the next start", extra={"reason": str(error)})

    def _is_due(self) -> bool:
        waiting = sum(len(rows.recent) for rows in self._tables)
        return waiting > _MOST_ROWS or (waiting > 0 and time.monotonic() > self._flushed_at + _EVERY_S)

    async def flush(self) -> None:
        """Write what is in memory now. Raises CacheNotWritten."""
        if not self._app.is_reading:
            return  # a recovery reads them from the log
        for rows in self._tables:
            rows.freeze()
        await self._app.batch_sender.send_all()
        await self._app.kafka_producer.flush()
        await asyncio.sleep(self._synced_s)
        for rows in self._tables:
            for _ in rows.slices():
                await asyncio.sleep(0)
        if time.monotonic() > self._spilt_at + REWRITE_S:
            self._spilt_at = time.monotonic()
            self._cache.spill()

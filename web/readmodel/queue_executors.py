"""Number of executors per step, counted by their reports on demand."""

import asyncio
import logging
import math
import time
from collections.abc import Mapping

from aiokafka.errors import KafkaError

from streams.kafka.executor_reports import executors_by_step
from streams.settings import Settings

log = logging.getLogger("kinolog.web")

#: Age up to which a count is used.
_FRESH_S = 5.0
#: Longest wait of a request for a new count.
_WAIT_S = 1.0


class QueueExecutors:
    """The latest count. Callers wait for a new one, at most a second, when it is too old."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._counts: Mapping[str, int] | None = None
        self._counted_at = -math.inf
        self._refreshing: asyncio.Task[None] | None = None

    async def by_step(self) -> Mapping[str, int] | None:
        """Number of executors by step; None while unknown."""
        if time.monotonic() - self._counted_at > _FRESH_S:
            if self._refreshing is None or self._refreshing.done():
                self._refreshing = asyncio.create_task(self._refresh())
            await asyncio.wait({self._refreshing}, timeout=_WAIT_S)
        return self._counts

    async def close(self) -> None:
        """Cancel a running count."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait({self._refreshing})

    async def _refresh(self) -> None:
        try:
            self._counts = await executors_by_step(self._settings, self._settings.cluster)
        except (KafkaError, OSError, TimeoutError) as error:
            log.debug("executors cannot be counted", extra={"error": repr(error)})
            self._counts = None
        self._counted_at = time.monotonic()

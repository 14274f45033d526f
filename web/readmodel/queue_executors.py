"""Executors per step's queue: counted by the consumer groups, when somebody needs the count."""

import asyncio
import logging
import math
import time
from collections.abc import Mapping

from aiokafka.errors import KafkaError

from streams.kafka.executor_groups import executors_by_step
from streams.settings import Settings

log = logging.getLogger("kinolog.web")

#: For how long a count is up to date.
_FRESH_S = 5.0
#: Longest that a request waits for a new one.
_WAIT_S = 1.0


class QueueExecutors:
    """The last count. While it is out of date, a caller waits for the next one, for a second at most."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found: Mapping[str, int] | None = None
        self._found_at = -math.inf
        self._refreshing: asyncio.Task[None] | None = None

    async def by_step(self) -> Mapping[str, int] | None:
        """Executors by step; None where that is not known."""
        if time.monotonic() - self._found_at > _FRESH_S:
            if self._refreshing is None or self._refreshing.done():
                self._refreshing = asyncio.create_task(self._refresh())
            await asyncio.wait({self._refreshing}, timeout=_WAIT_S)
        return self._found

    async def close(self) -> None:
        """Cancel the count that is under way."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait({self._refreshing})

    async def _refresh(self) -> None:
        try:
            # While a group rebalances, what was known before is the best that there is.
            self._found = await executors_by_step(self._settings, self._settings.bootstrap) or self._found
        except (KafkaError, OSError, TimeoutError) as error:
            log.debug("executors cannot be counted", extra={"error": repr(error)})
            self._found = None
        self._found_at = time.monotonic()

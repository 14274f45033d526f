"""The executors by their reports, read on demand."""

import asyncio
import logging
import math
import time
from collections.abc import Mapping, Sequence

from aiokafka.errors import KafkaError

from streams.kafka.executor_reports import DatedReport, count_by_step, latest_reports
from streams.settings import Settings

log = logging.getLogger("kinolog.web")

#: Age up to which reports that were read are used.
_FRESH_S = 1.0
#: Longest wait of a request for new ones.
_WAIT_S = 1.0


class Executors:
    """The latest report of each executor. Callers wait for new ones, at most a second, when they are too old."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reports: Sequence[DatedReport] | None = None
        self._read_at = -math.inf
        self._refreshing: asyncio.Task[None] | None = None

    async def reports(self) -> Sequence[DatedReport] | None:
        """The executors of the last minute; None while unknown."""
        if time.monotonic() - self._read_at > _FRESH_S:
            if self._refreshing is None or self._refreshing.done():
                self._refreshing = asyncio.create_task(self._refresh())
            await asyncio.wait({self._refreshing}, timeout=_WAIT_S)
        return self._reports

    async def by_step(self) -> Mapping[str, int] | None:
        """Number of executors by step; None while unknown."""
        reports = await self.reports()
        return None if reports is None else count_by_step(reports, time.time())

    async def close(self) -> None:
        """Cancel a running read."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait({self._refreshing})

    async def _refresh(self) -> None:
        try:
            self._reports = await latest_reports(self._settings, self._settings.cluster)
        except (KafkaError, OSError, TimeoutError) as error:
            log.debug("executors cannot be read", extra={"error": repr(error)})
            self._reports = None
        self._read_at = time.monotonic()

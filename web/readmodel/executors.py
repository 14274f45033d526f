"""Executors: the latest report of each executor, as they come."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiokafka import TopicPartition

from streams.kafka.executor_reports import RECENT_S, DatedReport, count_by_step, read_recent, reports_of, slots_by_step
from streams.kafka.reader import FOLLOWER_MS, fetch_from, open_reader
from streams.kafka.retry import follow_forever
from streams.kafka.topics import names
from streams.settings import Settings

#: Longest wait of a request until the reports have been read for the first time.
_WAIT_S = 1.0
#: Seconds between reads: a busy executor reports 20 times a second, and only its latest report is decoded.
_EVERY_S = 0.2


class Executors:
    """Follower of `media.executors`. Executors without a report for a minute are forgotten."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        """`now`: the time with which reports are compared, which the broker has dated; seconds since the epoch."""
        self._settings, self.now = settings, now
        self._part = TopicPartition(names(settings).executors, 0)
        self._latest: dict[str, DatedReport] = {}
        self._known = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled."""
        await follow_forever("executors", self._connect, self._follow, on_failure=self._known.clear)

    async def reports(self) -> Sequence[DatedReport] | None:
        """The executors of the last minute; None while unknown."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_S):
                await self._known.wait()
        return self.current()

    def current(self) -> Sequence[DatedReport] | None:
        """The same, without waiting for the first ones."""
        return list(self._latest.values()) if self._known.is_set() else None

    async def by_step(self) -> Mapping[str, int] | None:
        """Number of executors by step; None while unknown."""
        reports = await self.reports()
        return None if reports is None else count_by_step(reports, self.now())

    def slots(self) -> Mapping[str, int]:
        """Attempts that they run at a time, by step; empty while unknown."""
        reports = self.current()
        return {} if reports is None else slots_by_step(reports, self.now())

    def take(self, reports: Iterable[DatedReport]) -> None:
        """Take over reports, in the order of the log."""
        self._latest |= {dated.report.executor_id: dated for dated in reports}
        newest = max((dated.at for dated in self._latest.values()), default=0.0)
        since = max(newest, self.now() - RECENT_S) - RECENT_S
        self._latest = {name: dated for name, dated in self._latest.items() if dated.at > since}

    def _connect(self) -> AbstractAsyncContextManager[Any]:
        client_id = f"kinolog-web-{self._settings.web.replica}"
        return open_reader(
            self._settings.cluster, [self._part], reset="latest", wait_ms=FOLLOWER_MS, client_id=client_id
        )

    async def _follow(self, reader: Any) -> None:
        reports, end = await read_recent(reader, self._part)
        self._latest = {}
        self.take(reports)
        self._known.set()
        fetch_from(reader, {self._part: end})
        while True:
            records = (await reader.getmany(timeout_ms=1_000)).get(self._part, [])
            self.take(report for record in _last_by_key(records) for report in reports_of(record))
            await asyncio.sleep(_EVERY_S)


def _last_by_key(records: Iterable[Any]) -> list[Any]:
    """The records that no later one replaces; those without a key are all kept."""
    last = {record.key if record.key is not None else record.offset: record for record in records}
    return list(last.values())

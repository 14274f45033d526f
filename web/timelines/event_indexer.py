"""media.events -> event index, for as long as the process lives: after jobs have changed, and on request."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams.kafka.reader import ends_with_open_transactions, open_reader, read_between
from streams.kafka.topics import names
from streams.settings import Settings
from web.http.problems import unavailable
from web.readmodel.position import Position
from web.readmodel.queries import Counts
from web.timelines.event_index import SKEW_S, EventIndex, IndexEnd

log = logging.getLogger("kinolog.web")

#: Interval between checks for changed jobs.
_EVERY_S = 5.0
#: Records that are written at once: some 50 ms.
_BATCH = 500
#: Pause after each batch while no request waits, as a multiple of the time that it took: all other work has priority.
_PAUSE_SHARE, _LONGEST_PAUSE_S = 1.0, 1.0
#: Longest wait of a request.
_WAIT_S = 30.0

_ERRORS = (KafkaError, OSError, TimeoutError, sqlite3.Error)


class EventIndexer:
    """Keeps the index up to date, from the beginning of the log. Requests share its reading: none reads by itself."""

    def __init__(self, settings: Settings, position: Position, index: EventIndex) -> None:
        self._settings, self._position, self._index = settings, position, index
        self._topic = names(settings).events
        self._parts = [TopicPartition(self._topic, number) for number in range(settings.partitions)]
        #: Completes with the next catch-up; None: no request waits for it.
        self._next: asyncio.Future[None] | None = None
        self._requested = asyncio.Event()
        #: Records that the running catch-up has to read, and has read.
        self._to_read, self._read_so_far = 0, 0

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._position.caught_up.wait()
        indexed: list[int] = []
        while True:
            await self._wait()
            offsets = [*self._position.offsets]
            if (offsets != indexed or self._requested.is_set()) and await self._serve_requests():
                indexed = offsets

    async def counts_at(self, moment: float, owner: str | None) -> Counts:
        """Counts of jobs, steps and assets at a moment, of one owner or of all (None).

        Waits until all events of that moment are indexed. Raises Problem (503), TooOld.
        """
        moment_ms = int(moment * 1000)
        counts = await self._index.counts_at(self._name, moment_ms, owner)
        if counts is None:
            await self._next_catch_up()
            counts = await self._index.counts_at(self._name, moment_ms, owner, final=False)
        if counts is None:
            raise self._behind()
        return counts

    async def catch_up(self) -> None:
        """Index everything up to the current end of the log. Raises KafkaError, sqlite3.Error."""
        cluster, client_id = self._settings.cluster, f"kinolog-web-{self._settings.web.replica}"
        began, all_ends = time.time(), await ends_with_open_transactions(cluster, self._parts)
        # Where topic retention removes what is to be read, no end is reached as if it had been read.
        async with open_reader(cluster, self._parts, reset="none", client_id=client_id) as consumer:
            ends = await consumer.end_offsets(self._parts)
            starts = await self._starts(consumer, ends)
            self._to_read, self._read_so_far = sum(ends[part] - starts[part] for part in self._parts), 0
            await self._read(consumer, starts, ends)
        # An open transaction hides what was written behind its beginning: no moment is complete then.
        moment_ms = {part: int((began - SKEW_S) * 1000) if ends[part] >= all_ends[part] else 0 for part in self._parts}
        await self._index.complete({part.partition: IndexEnd(moment_ms[part], ends[part]) for part in self._parts})

    @property
    def _name(self) -> str:
        """Name of the log that is indexed."""
        return f"{self._position.log}/{self._topic}/{self._settings.partitions}"

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_EVERY_S):
                await self._requested.wait()
        except TimeoutError:
            pass

    async def _serve_requests(self) -> bool:
        waiting, self._next = self._next, None
        self._requested.clear()
        try:
            await self.catch_up()
        except _ERRORS as error:
            log.warning("event index cannot be updated", extra={"error": repr(error)})
            if waiting is not None:
                waiting.set_exception(error)
                waiting.exception()  # its requests may have given up
            return False
        if waiting is not None:
            waiting.set_result(None)
        return True

    async def _next_catch_up(self) -> None:
        """Wait for a catch-up that starts from now on. Raises Problem (503)."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        self._requested.set()
        try:
            async with asyncio.timeout(_WAIT_S):
                await asyncio.shield(self._next)
        except (TimeoutError, sqlite3.Error) as error:
            raise self._behind() from error
        except (KafkaError, OSError) as error:
            raise unavailable("broker-unavailable", "the log cannot be reached: try again", 2) from error

    def _behind(self) -> Exception:
        detail = f"the events up to that moment are being read: {self._read_so_far:,} of {self._to_read:,}"
        return unavailable("history-behind", detail, 10)

    async def _starts(self, consumer: Any, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Offsets to index from: the end of the index; for a new one, the beginning of the log."""
        known = await self._index.next_offsets(self._name)
        begins = await consumer.beginning_offsets(self._parts)
        # A log that is shorter is another one. Where it lost events before they were indexed, counts cannot go on.
        if not known or any(not begins[part] <= known[part.partition] <= ends[part] for part in self._parts):
            known = {part.partition: begins[part] for part in self._parts}
            await self._index.reset(self._name, known)
        return {part: known[part.partition] for part in self._parts}

    async def _read(
        self, consumer: Any, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> None:
        batch: list[ConsumerRecord] = []
        began = time.monotonic()
        async for record in read_between(consumer, starts, ends):
            batch.append(record)
            if len(batch) >= _BATCH:
                await self._add(batch)
                if self._next is None:
                    await asyncio.sleep(min(_PAUSE_SHARE * (time.monotonic() - began), _LONGEST_PAUSE_S))
                batch, began = [], time.monotonic()
        await self._add(batch)

    async def _add(self, batch: list[ConsumerRecord]) -> None:
        await self._index.add(batch)
        self._read_so_far += len(batch)

"""What an executor reads without a group: revokes on `media.control`, all of them, and the requests on its address.

An address is read from its end: what lies on it is for an earlier session. A reader that stops without an error is
replaced: the executor would go on to report free slots, and accept nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiokafka import TopicPartition

from agents.executor.requests import InvalidRequest
from schemas.base import ErrorRecord
from schemas.step_events import LeaseRevoked, QueueChanged
from streams.kafka.envelope import Entry, Unreadable, read
from streams.kafka.reader import FOLLOWER_MS, assign_paused, fetch_from, open_reader
from streams.kafka.reader_watch import run_watched, watch_reader
from streams.kafka.retry import follow_forever
from streams.kafka.topics import names
from streams.settings import Settings

log = logging.getLogger(__name__)

#: Longest wait of one read.
_READ_MS = 5_000
_CATCH_UP_MS = 100

OnRevoke = Callable[[LeaseRevoked], None]
OnRequests = Callable[[Any], Awaitable[None]]
OnInvalid = Callable[[InvalidRequest], Awaitable[None]]


class ControlFollower:
    """Follows both topics without a consumer group. `caught_up` is set once everything that was there at the start is
    applied. An old revoke names a lease that has ended, and is ignored.
    """

    def __init__(
        self,
        settings: Settings,
        client_id: str,
        address: int,
        *,
        on_revoke: OnRevoke,
        on_requests: OnRequests,
        on_invalid: OnInvalid,
    ) -> None:
        self._settings = settings
        topics = names(settings)
        self._control = TopicPartition(topics.control, 0)
        self._address = TopicPartition(topics.step_requests, address)
        self._client_id = client_id
        self._on_revoke = on_revoke
        self._on_requests = on_requests
        self._on_invalid = on_invalid
        #: Next offset per partition: a new connection continues there.
        self._next: dict[TopicPartition, int] = {}
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Follow the topics until cancelled."""
        await follow_forever("requests", self._connect, self._follow)

    def _connect(self) -> AbstractAsyncContextManager[Any]:
        # `earliest` counts only after a lost position: an old revoke names a lease that has ended.
        return open_reader(self._settings.cluster, reset="earliest", wait_ms=FOLLOWER_MS, client_id=self._client_id)

    async def _follow(self, consumer: Any) -> None:
        ends = await self._position(consumer)
        parts = list(ends)
        async with open_reader(self._settings.cluster, parts, reset="earliest", client_id=self._client_id) as lookup:
            await run_watched(self._read(consumer, ends), watch_reader(consumer, lookup, parts))

    async def _read(self, consumer: Any, ends: dict[TopicPartition, int]) -> None:
        while True:
            if all(self._next[tp] >= end for tp, end in ends.items()):
                self.caught_up.set()
            wait_ms = _READ_MS if self.caught_up.is_set() else _CATCH_UP_MS
            for records in (await consumer.getmany(timeout_ms=wait_ms)).values():
                for record in records:
                    await self._apply_record(record)
            for tp in ends:
                self._next[tp] = max(self._next[tp], await consumer.position(tp))

    async def _position(self, consumer: Any) -> dict[TopicPartition, int]:
        """Seek to the next offsets; at first to the beginning, and to the end of the address. Returns the current ends
        by partition.
        """
        parts = [self._control, self._address]
        assign_paused(consumer, parts)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(parts)
        if not self._next:
            self._next = {**await consumer.beginning_offsets([self._control]), self._address: ends[self._address]}
        fetch_from(consumer, self._next)
        return ends

    async def _apply_record(self, record: Any) -> None:
        part = TopicPartition(record.topic, record.partition)
        self._next[part] = record.offset + 1
        if part == self._address:
            await self._on_requests(record)
        else:
            await self._apply_all(record)

    async def _apply_all(self, record: Any) -> None:
        for entry in read(record.value, record.headers):
            error = self._apply(entry)
            if error is not None and self.caught_up.is_set():  # older ones were reported by an earlier process
                await self._on_invalid(InvalidRequest(record, entry.content, error))

    def _apply(self, entry: Entry | Unreadable) -> ErrorRecord | None:
        """Apply one entry. Returns the error, if any: it must not end this process at each start."""
        if isinstance(entry, Unreadable):
            return ErrorRecord(code=entry.code, message=entry.reason)
        try:
            if isinstance(entry.message, LeaseRevoked):
                self._on_revoke(entry.message)
                return None
            if isinstance(entry.message, QueueChanged):
                return None  # for executors of a version before the dispatcher
        except Exception as error:
            log.exception("control message failed", extra={"type": entry.message.TYPE})
            return ErrorRecord(code="internal-error", message=f"the executor failed: {error!r}")
        return ErrorRecord(code="unexpected-type", message=f"executors do not handle {entry.message.TYPE}")

"""A small table on a topic of one partition: every replica has all of it in memory, and any of them writes to it."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.kafka.producer import Producer
from streams.kafka.reader import FOLLOWER_MS, fetch_from, open_reader
from streams.kafka.retry import follow_forever
from streams.settings import Settings
from web.http.problems import unavailable

log = logging.getLogger("kinolog.web")

_POLL_MS = 1_000
_WRITE_S = 5.0
_JSON = [("content-type", b"application/json")]

S = TypeVar("S")


class TopicLog(Generic[S]):
    """The table of one topic. `state` is replaced or changed on the event loop only."""

    def __init__(
        self,
        settings: Settings,
        producer: Producer,
        topic: str,
        empty: Callable[[], S],
        fold: Callable[[S, Iterable[Any]], None],
    ) -> None:
        """`fold` applies records to a state that began as `empty()`."""
        self._settings, self._producer = settings, producer
        self._partition = TopicPartition(topic, 0)
        self._empty, self._fold = empty, fold
        self.state = empty()
        #: Set once everything on the log at start has been read.
        self.caught_up = asyncio.Event()
        self._next_offset = 0
        self._moved = asyncio.Condition()

    async def write(self, key: str, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Write a record; returns when it is on the log and `state` was folded with it. Raises Problem (503)."""
        topic = self._partition.topic
        try:
            async with asyncio.timeout(_WRITE_S):
                delivery = await self._producer.send(topic, 0, key.encode(), value, [*_JSON, *headers])
                offset = (await delivery).offset
                async with self._moved:
                    await self._moved.wait_for(lambda: self._next_offset > offset)
        except (KafkaError, TimeoutError) as error:
            log.warning("record not written", extra={"topic": topic, "error": repr(error)})
            detail = "the log did not respond in time: check whether the change was made"
            raise unavailable("broker-unavailable", detail, 2) from error

    async def run(self) -> None:
        """Follow the topic until cancelled."""
        await follow_forever(self._partition.topic, self._connect, self._read)

    def _connect(self) -> AbstractAsyncContextManager[Any]:
        client_id = f"kinolog-web-{self._settings.web.replica}"
        return open_reader(
            self._settings.cluster, [self._partition], reset="earliest", wait_ms=FOLLOWER_MS, client_id=client_id
        )

    async def _read(self, consumer: Any) -> None:
        """Read from the start of the log, into a new state until it has caught up."""
        end = (await consumer.end_offsets([self._partition]))[self._partition]
        fetch_from(consumer, await consumer.beginning_offsets([self._partition]))
        state = self._empty()
        while True:
            position = await consumer.position(self._partition)
            if position >= end and state is not self.state:
                self.state = state
                self.caught_up.set()
            await self._note(position)
            batch = await consumer.getmany(self._partition, timeout_ms=_POLL_MS)
            self._fold(state, batch.get(self._partition, ()))

    async def _note(self, position: int) -> None:
        async with self._moved:
            self._next_offset = position
            self._moved.notify_all()

"""A producer of our own, for processes that outlive the broker's absence: a failed delivery is theirs to repeat."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

from streams.kafka import patch_connection
from streams.kafka.batch_sender import MAX_BATCH_BYTES
from streams.settings import Settings

log = logging.getLogger(__name__)

#: Until a delivery counts as failed; the broker's restart takes less, and whoever wants more repeats it.
_REQUEST_TIMEOUT_MS = 30_000
#: Between repeats; each has waited for the timeout above already.
RETRY_S = 1.0


def hopeless(error: BaseException) -> bool:
    """Whether repeating a failed delivery is of no use."""
    return not (isinstance(error, KafkaTimeoutError) or (isinstance(error, KafkaError) and error.retriable))


class Producer:
    """aiokafka's producer in the shape that an outbox wants."""

    def __init__(self, settings: Settings, client_id: str) -> None:
        self._bootstrap = settings.bootstrap
        self._client_id = client_id
        self._kafka: Any = None

    async def start(self, *topics: str) -> None:
        """Connect, and learn where `topics` live: the first send to one would wait 100 ms for that.

        Raises KafkaConnectionError when no broker answers.
        """
        patch_connection.install()
        self._kafka = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            client_id=self._client_id,
            acks="all",
            linger_ms=0,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        await self._kafka.start()
        for topic in topics:
            await self._kafka.partitions_for(topic)

    async def stop(self, timeout_s: float) -> None:
        """Send what is waiting, within the time, and disconnect. Harmless when it never started."""
        if self._kafka is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._kafka.stop()
        except TimeoutError:
            log.warning(
                "the broker did not take everything in time; the log repairs it", extra={"timeout_s": timeout_s}
            )

    async def send(
        self, topic: str, partition: int, key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]
    ) -> Awaitable[Any]:
        """Hand one record over; what is returned resolves when the broker has it, or raises a KafkaError."""
        if self._kafka is None:
            raise KafkaConnectionError("not connected yet")
        answer: Awaitable[Any] = await self._kafka.send(topic, value, key=key, partition=partition, headers=headers)
        return answer

    async def deliver(
        self, topic: str, partition: int, key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]
    ) -> None:
        """Return when the broker has the record; tries for as long as there is hope. Raises KafkaError."""
        while True:
            try:
                await (await self.send(topic, partition, key, value, headers))
            except KafkaError as error:
                if hopeless(error):
                    raise
                log.warning(
                    "the broker did not take a record, trying again", extra={"topic": topic, "error": repr(error)}
                )
                await asyncio.sleep(RETRY_S)
            else:
                return

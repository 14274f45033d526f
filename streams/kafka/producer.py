"""A producer for processes that outlive the broker: they repeat failed deliveries themselves."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

from streams.kafka import patch_connection
from streams.kafka.batch_sender import MAX_BATCH_BYTES
from streams.kafka.reader import stopped
from streams.settings import Settings

log = logging.getLogger(__name__)

#: Timeout of a delivery; a restart of the broker takes less.
_REQUEST_TIMEOUT_MS = 30_000
#: Pause between retries; each has waited for the timeout above already.
RETRY_S = 1.0


def is_permanent(error: BaseException) -> bool:
    """Whether a retry of a failed delivery is useless."""
    return not (isinstance(error, KafkaTimeoutError) or (isinstance(error, KafkaError) and error.retriable))


class Producer:
    """An aiokafka producer with the `send` of an outbox."""

    def __init__(self, settings: Settings, client_id: str) -> None:
        self._cluster = settings.cluster
        self._client_id = client_id
        self._kafka: Any = None

    async def start(self, *topics: str) -> None:
        """Connect and fetch the metadata of `topics`: the first send to one would wait 100 ms for it.

        Raises KafkaConnectionError if no broker responds.
        """
        patch_connection.install()
        self._kafka = AIOKafkaProducer(
            **self._cluster.client_options(),
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
        """Send pending records within the time, and disconnect. Harmless before a start."""
        if self._kafka is not None:
            await stop_producer(self._kafka, timeout_s)

    async def send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> Awaitable[Any]:
        """Hand a record over; the result resolves when the broker has it, or raises a KafkaError."""
        if self._kafka is None:
            raise KafkaConnectionError("not connected yet")
        delivery: Awaitable[Any] = await self._kafka.send(topic, value, key=key, partition=partition, headers=headers)
        return delivery

    async def deliver(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        """Return when the broker has the record; retries temporary errors for ever. Raises KafkaError."""
        while True:
            try:
                await (await self.send(topic, partition, key, value, headers))
            except KafkaError as error:
                if is_permanent(error):
                    raise
                log.warning("record not delivered, retrying", extra={"topic": topic, "error": repr(error)})
                await asyncio.sleep(RETRY_S)
            else:
                return


async def stop_producer(producer: AIOKafkaProducer, timeout_s: float) -> None:
    """Send pending records within the time, and disconnect in any case."""
    try:
        async with asyncio.timeout(timeout_s):
            await stopped(producer, producer.stop)
    except TimeoutError:
        log.warning("pending records not delivered in time", extra={"timeout_s": timeout_s})

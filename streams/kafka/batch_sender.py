"""Sends many records at once: one batch per partition, built here and handed to aiokafka complete.

A single record costs aiokafka a future, a callback and a metadata lookup, and waits while the batch of its partition is
full. One record of commands causes some thousand rows and facts.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

#: Maximum size of a batch; a send waits while its batch is full. Kafka refuses one above 1 MiB.
MAX_BATCH_BYTES = 512 * 1024

_Partition = tuple[str, int]
#: Partition, offset of the first record, number of records, the broker's timestamp (ms).
Delivered = Callable[[int, int, int, int], None]


class BatchSender:
    """A sender of batches: `put` any number of records, then `send_all`. Records of a partition keep their order.

    `producer` returns aiokafka's producer, created with `max_batch_size` = MAX_BATCH_BYTES. `failed` is called with the
    error of an undelivered batch, and with the result of `cause` when its records were put.
    """

    def __init__(
        self,
        producer: Callable[[], Any],
        failed: Callable[[BaseException, Any], None],
        cause: Callable[[], Any] = lambda: None,
    ) -> None:
        self._producer, self._failed, self._cause = producer, failed, cause
        self._waiting: dict[_Partition, list[tuple[Any, Any]]] = {}
        self._lock = asyncio.Lock()
        self._observers: dict[str, Delivered] = {}

    def observe(self, topic: str, delivered: Delivered) -> None:
        """Call `delivered` for each batch of the topic that the broker has, in the order of each partition."""
        self._observers[topic] = delivered

    def put(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        """Add a record, to be sent by the next `send_all`."""
        cause, batches = self._cause(), self._waiting.get((topic, partition))
        if batches is None:
            batches = self._waiting[topic, partition] = []
        else:
            batch, its_cause = batches[-1]
            if its_cause is cause and batch.append(timestamp=None, key=key, value=value, headers=headers) is not None:
                return
        batch = self._producer().create_batch()
        batch.append(timestamp=None, key=key, value=value, headers=headers)  # the first one always fits
        batches.append((batch, cause))

    async def send_all(self) -> None:
        """Hand over all records. Delivery is not awaited: aiokafka's `flush` does that.

        Raises KafkaError if aiokafka does not accept them.
        """
        async with self._lock:  # concurrent calls could reorder a partition
            sent, self._waiting = self._waiting, {}
            for (topic, partition), batches in sent.items():
                for batch, cause in batches:
                    delivery = await self._producer().send_batch(batch, topic, partition=partition)
                    delivery.add_done_callback(functools.partial(self._require_delivery, cause))
                    if (observer := self._observers.get(topic)) is not None:
                        delivery.add_done_callback(functools.partial(_observe, observer, batch.record_count()))

    def _require_delivery(self, cause: Any, delivery: "asyncio.Future[Any]") -> None:
        if not delivery.cancelled() and (error := delivery.exception()) is not None:
            self._failed(error, cause)


def _observe(observer: Delivered, count: int, delivery: "asyncio.Future[Any]") -> None:
    if not delivery.cancelled() and delivery.exception() is None:
        metadata = delivery.result()
        observer(metadata.partition, metadata.offset, count, metadata.timestamp or 0)

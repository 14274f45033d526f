"""Records that leave together: one batch a partition, filled by us and handed to aiokafka whole.

A record sent by itself costs aiokafka a future, a callback and a look at the metadata, and waits while the batch of
its partition is full. One record of commands causes some thousand rows and facts.
"""

import asyncio
from collections.abc import Callable
from typing import Any

#: Largest batch of one partition; a send waits while its batch is full. Kafka refuses one above 1 MiB.
MAX_BATCH_BYTES = 512 * 1024

_Place = tuple[str, int]


class Departures:
    """`put` any number of records, then `depart`. Records of one partition leave in the order in which they were put.

    `producer` gives aiokafka's producer, made with `max_batch_size` = MAX_BATCH_BYTES. `failed` is told of a batch that
    the broker did not take.
    """

    def __init__(self, producer: Callable[[], Any], failed: Callable[[BaseException], None]) -> None:
        self._producer, self._failed = producer, failed
        self._waiting: dict[_Place, list[Any]] = {}
        self._gate = asyncio.Lock()

    def put(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        """Add one record. It leaves with the next `depart`."""
        batches = self._waiting.get((topic, partition))
        if batches and batches[-1].append(timestamp=None, key=key, value=value, headers=headers) is not None:
            return
        batch = self._producer().create_batch()
        batch.append(timestamp=None, key=key, value=value, headers=headers)  # a first one always fits
        self._waiting.setdefault((topic, partition), []).append(batch)

    async def depart(self) -> None:
        """Hand over what was put. Delivery is not awaited: aiokafka's `flush` does, and `failed` hears of a failure.

        Raises KafkaError when aiokafka does not even take it.
        """
        async with self._gate:  # two at once might change places within a partition
            leaving, self._waiting = self._waiting, {}
            for (topic, partition), batches in leaving.items():
                for one in batches:
                    delivery = await self._producer().send_batch(one, topic, partition=partition)
                    delivery.add_done_callback(self._require_delivery)

    def _require_delivery(self, delivery: "asyncio.Future[Any]") -> None:
        if not delivery.cancelled() and (error := delivery.exception()) is not None:
            self._failed(error)

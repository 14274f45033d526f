"""Records that leave together: one batch a partition, filled by us and handed to aiokafka whole.

A record sent by itself costs aiokafka a future, a callback and a look at the metadata, and waits while the batch of
its partition is full. One record of commands causes some thousand rows and facts.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

#: Largest batch of one partition; a send waits while its batch is full. Kafka refuses one above 1 MiB.
MAX_BATCH_BYTES = 512 * 1024

_Place = tuple[str, int]


class Departures:
    """`put` any number of records, then `depart`. Records of one partition leave in the order in which they were put.

    `producer` gives aiokafka's producer, made with `max_batch_size` = MAX_BATCH_BYTES. `failed` is called with the
    error of a batch that the broker did not take, and with what `cause` returned when its records were put.
    """

    def __init__(
        self,
        producer: Callable[[], Any],
        failed: Callable[[BaseException, Any], None],
        cause: Callable[[], Any] = lambda: None,
    ) -> None:
        self._producer, self._failed, self._cause = producer, failed, cause
        self._waiting: dict[_Place, list[tuple[Any, Any]]] = {}
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
        record = {"timestamp": None, "key": key, "value": value, "headers": headers}
        batches, cause = self._waiting.setdefault((topic, partition), []), self._cause()
        if batches and batches[-1][1] is cause and batches[-1][0].append(**record) is not None:
            return
        batch = self._producer().create_batch()
        batch.append(**record)  # a first one always fits
        batches.append((batch, cause))

    async def depart(self) -> None:
        """Hand over what was put. Delivery is not awaited: aiokafka's `flush` does, and `failed` hears of a failure.

        Raises KafkaError when aiokafka does not even take it.
        """
        async with self._gate:  # two at once might change places within a partition
            leaving, self._waiting = self._waiting, {}
            for (topic, partition), batches in leaving.items():
                for one, cause in batches:
                    delivery = await self._producer().send_batch(one, topic, partition=partition)
                    delivery.add_done_callback(functools.partial(self._require_delivery, cause))

    def _require_delivery(self, cause: Any, delivery: "asyncio.Future[Any]") -> None:
        if not delivery.cancelled() and (error := delivery.exception()) is not None:
            self._failed(error, cause)

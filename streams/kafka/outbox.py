"""The outbox of a process: groups events into one record per partition, sent as soon as the event loop adds no more."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from streams.kafka.envelope import BATCH_HEADERS, batch

#: Maximum number of events in a record: 256 keeps a record of 1 KB events below half of Kafka's 1 MB limit.
MAX_EVENTS = 256
#: Maximum total size of events in a record; Kafka refuses a record above 1 MiB.
MAX_BYTES = 512 * 1024
#: Number of loop iterations in which more events may be added before a group is sent.
_YIELDS = 4

#: (topic, partition, key, value, headers) -> a future that resolves when the broker has the record.
Send = Callable[[str, int, bytes | None, bytes, list[tuple[str, bytes]]], Coroutine[Any, Any, Awaitable[Any]]]


class _Group:
    """Events of one topic and partition for one record."""

    __slots__ = ("delivered", "events", "size")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.events: list[bytes] = []
        self.size = 0
        self.delivered: asyncio.Future[Any] = loop.create_future()


class Outbox:
    """An outbox without a timer. `put` returns a future: the broker's response for the record with the event.

    Events of one partition are sent in the order in which they were put.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._groups: dict[tuple[str, int], _Group] = {}
        self._wake = asyncio.Event()
        self._puts = 0
        self._deliveries: set[asyncio.Task[None]] = set()
        #: Held while a record is handed over: aiokafka lets a later one overtake one that waits for a full batch.
        self._locks: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._pump: asyncio.Task[None] | None = None

    def put(self, topic: str, partition: int, event: bytes) -> asyncio.Future[Any]:
        """Add one structured event. The future resolves to the record's metadata or raises a Kafka error."""
        target = (topic, partition)
        group = self._groups.get(target)
        if group is not None and (len(group.events) >= MAX_EVENTS or group.size + len(event) > MAX_BYTES):
            self._dispatch(target)
            group = None
        if group is None:
            group = self._groups[target] = _Group(asyncio.get_running_loop())
        group.events.append(event)
        group.size += len(event)
        self._puts += 1
        self._wake.set()
        if self._pump is None:
            self._pump = asyncio.create_task(self._run(), name="outbox")
        return group.delivered

    async def flush(self) -> None:
        """Send pending events and return when the broker has them all. Raises the first delivery error."""
        for target in list(self._groups):
            self._dispatch(target)
        while self._deliveries:
            await asyncio.gather(*self._deliveries)

    async def close(self) -> None:
        """Flush and stop."""
        await self.flush()
        if self._pump is not None:
            self._pump.cancel()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            for iteration in range(_YIELDS):
                seen = self._puts
                await asyncio.sleep(0)
                if self._puts == seen and iteration:
                    break
            self._wake.clear()
            for target in list(self._groups):
                self._dispatch(target)

    def _dispatch(self, target: tuple[str, int]) -> None:
        group = self._groups.pop(target)
        delivery = asyncio.create_task(self._deliver(target, group))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._deliveries.discard)

    async def _deliver(self, target: tuple[str, int], group: _Group) -> None:
        topic, partition = target
        try:
            async with self._locks[target]:
                delivery = await self._send(topic, partition, None, batch(group.events), BATCH_HEADERS)
            metadata = await delivery
        except Exception as error:  # noqa: BLE001 - the senders that wait for `delivered` handle it
            if not group.delivered.done():
                group.delivered.set_exception(error)
                group.delivered.exception()  # fetched here: a sender that does not wait causes no warning
        else:
            if not group.delivered.done():
                group.delivered.set_result(metadata)

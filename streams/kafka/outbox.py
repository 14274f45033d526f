"""Groups what a process has to say: one record per partition, sent as soon as the event loop has nothing to add."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from streams.kafka.envelope import BATCH_HEADERS, batch

#: Largest number of events in one record: 256 keeps a record of 1 KB events below half of Kafka's 1 MB limit.
MAX_EVENTS = 256
#: Largest sum of their bytes; Kafka refuses a record above 1 MiB.
MAX_BYTES = 512 * 1024
#: How often the loop is given the chance to add more before a group leaves.
_YIELDS = 4

#: (topic, partition, key, value, headers) -> a future that resolves when the broker has the record.
Send = Callable[[str, int, bytes | None, bytes, list[tuple[str, bytes]]], Coroutine[Any, Any, Awaitable[Any]]]


class _Group:
    """Events of one topic and partition on their way into one record."""

    __slots__ = ("delivered", "events", "size")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.events: list[bytes] = []
        self.size = 0
        self.delivered: asyncio.Future[Any] = loop.create_future()


class Outbox:
    """An outbox without a timer. `put` returns a future: the broker's answer for the record that carries the event.

    Events of one place leave in the order in which they were put.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._groups: dict[tuple[str, int], _Group] = {}
        self._wake = asyncio.Event()
        self._puts = 0
        self._flights: set[asyncio.Task[None]] = set()
        #: Held while a record is handed over: aiokafka lets a later one pass one that waits for a full batch.
        self._gates: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._pump: asyncio.Task[None] | None = None

    def put(self, topic: str, partition: int, event: bytes) -> asyncio.Future[Any]:
        """Add one structured event. The future resolves to the record's metadata or raises a Kafka error."""
        place = (topic, partition)
        group = self._groups.get(place)
        if group is not None and (len(group.events) >= MAX_EVENTS or group.size + len(event) > MAX_BYTES):
            self._depart(place)
            group = None
        if group is None:
            group = self._groups[place] = _Group(asyncio.get_running_loop())
        group.events.append(event)
        group.size += len(event)
        self._puts += 1
        self._wake.set()
        if self._pump is None:
            self._pump = asyncio.create_task(self._run(), name="outbox")
        return group.delivered

    async def flush(self) -> None:
        """Send what is waiting and return when the broker has it all. Raises the first delivery error."""
        for place in list(self._groups):
            self._depart(place)
        while self._flights:
            await asyncio.gather(*self._flights)

    async def close(self) -> None:
        """Flush and stop."""
        await self.flush()
        if self._pump is not None:
            self._pump.cancel()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            for turn in range(_YIELDS):
                seen = self._puts
                await asyncio.sleep(0)
                if self._puts == seen and turn:
                    break
            self._wake.clear()
            for place in list(self._groups):
                self._depart(place)

    def _depart(self, place: tuple[str, int]) -> None:
        group = self._groups.pop(place)
        flight = asyncio.create_task(self._fly(place, group))
        self._flights.add(flight)
        flight.add_done_callback(self._flights.discard)

    async def _fly(self, place: tuple[str, int], group: _Group) -> None:
        topic, partition = place
        try:
            async with self._gates[place]:
                delivery = await self._send(topic, partition, None, batch(group.events), BATCH_HEADERS)
            answer = await delivery
        except Exception as error:  # noqa: BLE001 - the senders wait on `delivered`: it is theirs to handle
            if not group.delivered.done():
                group.delivered.set_exception(error)
                group.delivered.exception()  # fetched here: a sender that does not wait causes no warning
        else:
            if not group.delivered.done():
                group.delivered.set_result(answer)

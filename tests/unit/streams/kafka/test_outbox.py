"""Events leave in groups, in order, and their senders hear what became of them."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import msgspec
import pytest

from streams.kafka.outbox import MAX_BYTES, MAX_EVENTS, Outbox


class Broker:
    """Takes records and answers when it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.records: list[tuple[str, int, list[Any]]] = []
        self.error = error

    async def send(self, topic: str, partition: int, key: bytes | None, value: bytes, headers: Any) -> Awaitable[Any]:
        self.records.append((topic, partition, msgspec.json.decode(value)))
        answer = asyncio.get_running_loop().create_future()
        if self.error is not None:
            answer.set_exception(self.error)
        else:
            answer.set_result(len(self.records))
        return answer


async def test_what_is_put_together_leaves_together_one_record_a_partition() -> None:
    broker = Broker()
    outbox = Outbox(broker.send)
    answers = [outbox.put("t", number % 2, str(number).encode()) for number in range(6)]
    await asyncio.gather(*answers)
    assert sorted(broker.records) == [("t", 0, [0, 2, 4]), ("t", 1, [1, 3, 5])]
    await outbox.close()


async def test_a_group_that_is_full_leaves_and_the_order_stays() -> None:
    broker = Broker()
    outbox = Outbox(broker.send)
    for number in range(MAX_EVENTS * 2 + 1):
        outbox.put("t", 0, str(number).encode())
    await outbox.flush()
    assert [len(events) for _, _, events in broker.records] == [MAX_EVENTS, MAX_EVENTS, 1]
    assert [n for _, _, events in broker.records for n in events] == list(range(MAX_EVENTS * 2 + 1))
    await outbox.close()


async def test_large_events_leave_in_records_that_a_broker_takes() -> None:
    broker = Broker()
    outbox = Outbox(broker.send)
    for letter in "abcdefgh":
        outbox.put("t", 0, f'"{letter * (MAX_BYTES // 3)}"'.encode())
    await outbox.flush()
    assert max(sum(map(len, events)) for _, _, events in broker.records) <= MAX_BYTES
    assert "".join(event[0] for _, _, events in broker.records for event in events) == "abcdefgh"
    await outbox.close()


async def test_a_record_that_waits_for_room_is_not_passed_by_a_later_one() -> None:
    broker, room = Broker(), asyncio.Event()

    async def send(topic: str, partition: int, key: bytes | None, value: bytes, headers: Any) -> Awaitable[Any]:
        if value == b"[0]":
            await room.wait()
        return await broker.send(topic, partition, key, value, headers)

    outbox = Outbox(send)
    for number in range(3):
        outbox.put("t", 0, str(number).encode())
        await asyncio.sleep(0.01)
    room.set()
    await outbox.flush()
    assert [events for _, _, events in broker.records] == [[0], [1], [2]]
    await outbox.close()


async def test_a_failed_delivery_reaches_every_sender_of_its_record() -> None:
    outbox = Outbox(Broker(ValueError("too large")).send)
    answers = [outbox.put("t", 0, b"1"), outbox.put("t", 0, b"2")]
    for answer in answers:
        with pytest.raises(ValueError, match="too large"):
            await answer
    await outbox.close()


async def test_nobody_needs_to_wait() -> None:
    broker = Broker()
    outbox = Outbox(broker.send)
    outbox.put("t", 0, b"1")
    async with asyncio.timeout(5):
        while not broker.records:
            await asyncio.sleep(0)
    await outbox.close()

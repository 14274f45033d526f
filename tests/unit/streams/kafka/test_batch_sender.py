"""What leaves together, and what it is blamed on when the broker does not take it."""

import asyncio
from typing import Any

from streams.kafka.batch_sender import BatchSender


class Batch(list[bytes]):
    """A batch of two records at most."""

    def append(self, *, value: bytes, **_: Any) -> Any:  # type: ignore[override]  # as aiokafka's
        if len(self) == 2:
            return None
        super().append(value)
        return True


class Producer:
    """Takes what does not say "large"."""

    def __init__(self) -> None:
        self.sent: list[list[bytes]] = []

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, _topic: str, *, partition: int) -> "asyncio.Future[None]":
        self.sent.append(list(batch))
        delivery = asyncio.get_running_loop().create_future()
        if b"large" in batch:
            delivery.set_exception(ValueError("too large"))
        else:
            delivery.set_result(None)
        return delivery


async def test_a_batch_that_is_refused_is_blamed_on_the_record_that_it_was_put_for() -> None:
    producer, blamed, cause = Producer(), list[Any](), ["first"]
    batch_sender = BatchSender(lambda: producer, lambda _error, cause: blamed.append(cause), lambda: cause[0])
    batch_sender.put("t", 0, None, b"1")
    cause[0] = "second"
    batch_sender.put("t", 0, None, b"large")
    cause[0] = "third"
    batch_sender.put("t", 0, None, b"3")
    await batch_sender.send_all()
    await asyncio.sleep(0)
    assert producer.sent == [[b"1"], [b"large"], [b"3"]]
    assert blamed == ["second"]


async def test_what_is_put_for_one_record_leaves_in_full_batches() -> None:
    producer = Producer()
    batch_sender = BatchSender(lambda: producer, lambda *_: None)
    for value in (b"1", b"2", b"3"):
        batch_sender.put("t", 0, None, value)
    await batch_sender.send_all()
    assert producer.sent == [[b"1", b"2"], [b"3"]]

"""Readers leave no connection open, and an outage of the broker is one line in the log and no storm of retries."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.kafka import reader
from streams.kafka.reader import follow_forever, started


class Client:
    """What happens to it, in order."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.connected = asyncio.Event()

    async def start(self) -> None:
        self.seen.append("starting")
        await self.connected.wait()
        self.seen.append("started")

    async def stop(self) -> None:
        self.seen.append("stopped")


async def _use(client: Client) -> None:
    async with started(client, client.stop):
        client.seen.append("used")
        raise ValueError("used up")


async def test_whatever_happens_a_client_is_stopped_in_the_end() -> None:
    client = Client()
    client.connected.set()
    with pytest.raises(ValueError, match="used up"):
        await _use(client)
    assert client.seen == ["starting", "started", "used", "stopped"]


async def test_a_cancelled_start_comes_to_its_end_before_the_client_is_stopped() -> None:
    client = Client()
    using = asyncio.create_task(_use(client))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    using.cancel()
    await asyncio.sleep(0)
    client.connected.set()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert client.seen == ["starting", "started", "stopped"]


class Broker:
    """Refuses connections until `refusals` are used up; then it is followed for ever."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.followed = refusals, asyncio.Event()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[None]:
        if self.refusals:
            self.refusals -= 1
            raise KafkaConnectionError("refused")
        yield

    async def follow(self, _: None) -> None:
        self.followed.set()
        await asyncio.Event().wait()


async def _follow(broker: Broker, resumed: asyncio.Event | None = None) -> None:
    """Follow until records are read, or until it is logged that they are read again."""
    following = asyncio.create_task(follow_forever("tokens", broker.connect, broker.follow))
    async with asyncio.timeout(10):
        await (resumed or broker.followed).wait()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_an_outage_is_logged_when_it_begins_and_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reader, "_FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(reader, "_STEADY_S", 0.0)
    resumed = asyncio.Event()

    class Resumed(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "reading resumed":
                resumed.set()

    handler = Resumed()
    reader.log.addHandler(handler)
    try:
        with caplog.at_level(logging.INFO, logger=reader.log.name):
            await _follow(Broker(refusals=20), resumed)
    finally:
        reader.log.removeHandler(handler)
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert lines == [("WARNING", "reading interrupted, retrying"), ("INFO", "reading resumed")]


async def test_a_start_that_works_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger=reader.log.name):
        await _follow(Broker(refusals=0))
    assert not caplog.records


def test_replicas_retry_later_and_later_and_not_in_step() -> None:
    outage = reader._Outage("tokens")
    pauses = []
    for _ in range(10):
        outage.note(KafkaConnectionError("refused"))
        pauses.append({outage.pause_s() for _ in range(20)})
    assert all(len(of_one_try) == 20 for of_one_try in pauses)
    assert max(pauses[0]) < min(pauses[3]) < max(pauses[9]) <= reader._LONGEST_PAUSE_S

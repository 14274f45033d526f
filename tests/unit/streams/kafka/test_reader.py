"""A client whose start is cancelled is stopped after that start has finished: no connection stays open."""

import asyncio

import pytest

from streams.kafka.reader import started


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

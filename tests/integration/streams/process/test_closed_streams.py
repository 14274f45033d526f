"""A Kafka client goes on after a broker that closed its connection just as it was asked, under uvloop too."""

import asyncio
from typing import Any

import pytest
import uvloop
from aiokafka.client import AIOKafkaClient

from streams.broker.process import Broker
from streams.process import closed_streams


async def test_a_client_learns_of_the_cluster_after_its_connection_was_closed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("write", "writelines"):
        monkeypatch.setattr(asyncio.StreamWriter, name, getattr(closed_streams, name))
    assert await asyncio.to_thread(uvloop.run, _looks(broker.bootstrap)) == [False, True]


async def _looks(bootstrap: str) -> list[bool]:
    """Whether two looks at the cluster succeed, of which the first meets a closed connection."""
    client: Any = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    connect, closed = client._get_conn, list[object]()

    async def closed_once(*place: Any, **options: Any) -> Any:
        connection = await connect(*place, **options)
        if connection is not None and not closed:
            closed.append(connection)
            connection._writer.transport.abort()
            await asyncio.sleep(0)  # the transport is closed, and its reader has not been told
        return connection

    client._get_conn = closed_once
    try:
        return [await asyncio.wait_for(client.force_metadata_update(), 10) for _ in range(2)]
    finally:
        client._sync_task.cancel()
        await client.close()

"""What aiokafka knows of the cluster, when a look at it failed."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient

from streams.broker.process import Broker
from streams.kafka.admin import apply_topics
from streams.kafka.topics import names
from streams.settings import load
from streams.worker import patch_metadata_retry
from tests.conftest import eventually


@pytest.fixture
def looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The patch, for this test only."""
    monkeypatch.setattr(AIOKafkaClient, "_metadata_update", patch_metadata_retry._stock)
    monkeypatch.setattr(AIOKafkaClient, "coordinator_lookup", patch_metadata_retry._stock_lookup)
    patch_metadata_retry.install()


@pytest.mark.usefixtures("looks_again")
async def test_topics_are_known_soon_though_the_first_look_failed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load({"KINOLOG_KAFKA__BOOTSTRAP": broker.bootstrap, "KINOLOG_TOPIC_PREFIX": "looks."})
    await apply_topics(settings, 60)
    topic = names(settings).uploads
    client: Any = AIOKafkaClient(bootstrap_servers=broker.bootstrap)
    await client.bootstrap()
    try:
        with monkeypatch.context() as cut:
            cut.setattr(client, "_get_conn", _no_connection)
            assert not await client.set_topics([topic])
        await eventually(lambda: client.cluster.partitions_for_topic(topic), 20)
    finally:
        await client.close()


@pytest.mark.usefixtures("looks_again")
async def test_a_member_that_starts_while_no_broker_is_known_joins_its_group(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load({"KINOLOG_KAFKA__BOOTSTRAP": broker.bootstrap, "KINOLOG_TOPIC_PREFIX": "unknown."})
    await apply_topics(settings, 60)
    found, unknown = AIOKafkaClient.get_random_node, [None] * 3
    monkeypatch.setattr(AIOKafkaClient, "get_random_node", lambda self: unknown.pop() if unknown else found(self))
    consumer = AIOKafkaConsumer(
        names(settings).uploads, bootstrap_servers=broker.bootstrap, group_id="joins-later", retry_backoff_ms=20
    )
    async with asyncio.timeout(30):
        await consumer.start()
    try:
        assert consumer.assignment() and not unknown
    finally:
        await consumer.stop()


async def _no_connection(*_: Any, **__: Any) -> None:
    """As when the network is cut."""

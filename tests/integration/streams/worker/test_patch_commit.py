"""Commits of a consumer one of whose topics an operator deletes."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.consumer.group_coordinator import GroupCoordinator

from streams.broker.process import Broker
from streams.worker import patch_commit
from tests.conftest import eventually

_DELETED, _KEPT = TopicPartition("commit-deleted", 0), TopicPartition("commit-kept", 0)


@pytest.fixture
def _patched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GroupCoordinator, "_do_commit_offsets", patch_commit._stock)  # put back afterwards
    patch_commit.install()


@pytest.mark.usefixtures("_patched")
async def test_a_commit_is_made_without_the_topic_that_was_deleted(broker: Broker) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    consumer: Any = AIOKafkaConsumer(
        _DELETED.topic, _KEPT.topic, bootstrap_servers=broker.bootstrap, group_id="commit", enable_auto_commit=False
    )
    try:
        await admin.create_topics([NewTopic(part.topic, 1, 1) for part in (_DELETED, _KEPT)])
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            for part in (_DELETED, _KEPT):
                await producer.send_and_wait(part.topic, b"record", partition=0)
        await consumer.start()
        await eventually(lambda: consumer.assignment() == {_DELETED, _KEPT}, 30)
        consumer.pause(_DELETED, _KEPT)  # a fetch would notice the deletion, and rebalance first
        await admin.delete_topics([_DELETED.topic])
        await asyncio.wait_for(consumer.commit({_DELETED: 1, _KEPT: 1}), 20)
        assert await consumer.committed(_KEPT) == 1
    finally:
        await consumer.stop()
        await admin.close()

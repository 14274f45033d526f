"""Topics of the versions before the dispatcher go once nobody uses them, and no other topic goes."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.broker.process import Broker
from streams.kafka.consumer_groups import executor_group
from streams.kafka.old_topics import Pruned, prune
from streams.settings import Settings
from tests.conftest import MakeSettings

OLD = ["old.step-requests.probe", "old.step-requests.probe.high"]
OTHERS = ["old.step-requests", "old.step-events", "other.step-requests.probe"]
#: Records count as written lately from here on.
LATELY_S = 3600.0


@pytest.fixture
async def settings(broker: Broker, make_settings: MakeSettings) -> AsyncIterator[Settings]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 2, 1) for name in OLD + OTHERS])
    yield make_settings(KINOLOG_KAFKA__BOOTSTRAP=broker.bootstrap, KINOLOG_TOPIC_PREFIX="old.")
    assert set(OTHERS) <= set(await admin.list_topics())
    await admin.delete_topics([*OTHERS, *(set(OLD) & set(await admin.list_topics()))])
    await admin.close()


async def test_a_topic_that_an_executor_reads_stays(settings: Settings) -> None:
    group = executor_group(settings, "default")
    consumer = AIOKafkaConsumer(OLD[0], bootstrap_servers=settings.bootstrap, group_id=group)
    await consumer.start()
    try:
        pruned = await prune(settings)
    finally:
        await consumer.stop()
    assert pruned == Pruned([OLD[1]], [f"{OLD[0]} is read by an executor of an earlier version"])
    assert await prune(settings) == Pruned([OLD[0]], [])
    assert await prune(settings) == Pruned([], [])


async def test_a_topic_that_control_writes_stays(settings: Settings) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    await producer.send_and_wait(OLD[1], b"[]", partition=1)
    await producer.stop()
    pruned = await prune(settings, LATELY_S)
    assert pruned == Pruned([OLD[0]], [f"{OLD[1]} was written lately: control of an earlier version runs"])
    assert await prune(settings, 0.0) == Pruned([OLD[1]], [])

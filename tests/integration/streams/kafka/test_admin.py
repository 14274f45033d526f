"""`topics apply` against a real broker."""

from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.broker.process import Broker
from streams.doctor import cluster
from streams.kafka.admin import TopicsError, TopicsReport, apply_topics
from streams.kafka.topics import names, required_topics
from streams.settings import Settings
from tests.conftest import eventually


@pytest.fixture
async def admin(broker: Broker) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
def settings(broker: Broker, make_settings: Callable[..., Settings], request: pytest.FixtureRequest) -> Settings:
    prefix = f"{request.node.name.replace('_', '-')}."
    return make_settings(KINOLOG_KAFKA__BOOTSTRAP=broker.bootstrap, KINOLOG_TOPIC_PREFIX=prefix)


async def test_every_topic_is_created_once_and_left_alone_after(broker: Broker, settings: Settings) -> None:
    first = await apply_topics(settings)
    second = await apply_topics(settings)

    own = {topic.name for topic in required_topics(settings) if topic.name.startswith(settings.topic_prefix)}
    assert own <= set(first.created)
    assert second == TopicsReport()


async def test_another_partition_count_is_refused_with_what_to_do(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    commands = names(settings).commands
    await admin.create_topics([NewTopic(commands, 3, 1)])

    with pytest.raises(TopicsError, match=rf"{commands} has 3 partitions, not 8.*KINOLOG_PARTITIONS") as caught:
        await apply_topics(settings)
    assert caught.value.code == "partitions-differ"


async def test_a_setting_that_differs_is_brought_in_line_and_the_operators_own_are_kept(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    uploads = names(settings).uploads
    own = {"retention.ms": "1000", "cleanup.policy": "delete", "max.message.bytes": "2000000"}
    await admin.create_topics([NewTopic(uploads, settings.partitions, 1, topic_configs=own)])

    report = await apply_topics(settings)

    assert [line for line in report.altered if ": flush." not in line] == [
        f"{uploads}: message.timestamp.type is CreateTime, should be LogAppendTime",
        f"{uploads}: retention.ms is 1000, should be 2592000000",
    ]

    assert f"{uploads}: flush.messages is {2**63 - 1}, should be 1" in report.altered

    # The broker answers before its own cache knows.
    async def is_set() -> bool:
        return await _setting(admin, uploads, "retention.ms") == "2592000000"

    await eventually(is_set)
    assert await _setting(admin, uploads, "max.message.bytes") == "2000000"


async def test_a_topic_that_refuses_what_producers_send_at_once_is_brought_in_line(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    events = names(settings).events
    own = {"max.message.bytes": "100000", "retention.ms": "-1", "message.timestamp.type": "LogAppendTime"}
    await admin.create_topics([NewTopic(events, settings.partitions, 1, topic_configs=own)])
    assert f"{events}: max.message.bytes is 100000, should be 1048588" in (await apply_topics(settings)).altered

    async def is_set() -> bool:
        return await _setting(admin, events, "max.message.bytes") == "1048588"

    await eventually(is_set)
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as producer:
        await producer.send_and_wait(events, b"x" * 1_000_000, partition=0)


async def test_a_topic_whose_records_could_be_lost_with_one_broker_is_brought_in_line(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    events = names(settings).events
    own = {"unclean.leader.election.enable": "true", "retention.ms": "-1", "message.timestamp.type": "LogAppendTime"}
    await admin.create_topics([NewTopic(events, settings.partitions, 1, topic_configs=own)])

    altered = (await apply_topics(settings)).altered
    assert f"{events}: unclean.leader.election.enable is true, should be false" in altered
    assert all(line.startswith(f"{events}: ") for line in altered)


async def test_topics_that_were_made_with_fewer_replicas_are_named(
    settings: Settings, make_settings: Callable[..., Settings]
) -> None:
    await apply_topics(settings)
    more = msgspec.structs.replace(settings, kafka=msgspec.structs.replace(settings.kafka, replication_factor=3))

    report = await apply_topics(more)

    assert f"{names(settings).events} has 1 of 3 replicas" in report.too_few_replicas
    # Two that must have a record, where there is one, would be a log that takes nothing.
    assert report.altered == []
    found = await cluster.log(more)
    assert found.level == "warning" and "kafka-reassign-partitions" in (found.remedy or "")


async def test_a_longer_retention_is_reported_and_never_shortened(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    progress = names(settings).progress
    await admin.create_topics([NewTopic(progress, settings.partitions, 1, topic_configs={"retention.ms": "-1"})])

    report = await apply_topics(settings)

    assert report.differing == [f"{progress}: retention.ms is -1, should be 3600000"]
    assert await _setting(admin, progress, "retention.ms") == "-1"


async def test_more_replicas_than_brokers_says_which_setting_is_wrong(
    broker: Broker, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(
        KINOLOG_KAFKA__BOOTSTRAP=broker.bootstrap,
        KINOLOG_TOPIC_PREFIX="replicas.",
        KINOLOG_KAFKA__REPLICATION_FACTOR="3",
    )
    with pytest.raises(TopicsError, match="KINOLOG_KAFKA__REPLICATION_FACTOR") as caught:
        await apply_topics(settings)
    assert caught.value.code == "too-few-brokers"


async def test_a_cluster_that_is_not_there_is_called_unreachable(
    make_settings: Callable[..., Settings], free_port: Callable[[], int]
) -> None:
    settings = make_settings(KINOLOG_KAFKA__BOOTSTRAP=f"127.0.0.1:{free_port()}")
    with pytest.raises(TopicsError) as caught:
        await apply_topics(settings, within_s=0.5)
    assert caught.value.code == "unreachable"


async def _setting(admin: AIOKafkaAdminClient, topic: str, name: str) -> str:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {name: None})])
    value: str = next(entry[1] for answer in answers for entry in answer.resources[0][4])
    return value

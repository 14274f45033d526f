"""Another user of the machine cannot use the embedded broker for more than uploads and events."""

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from streams.broker.process import Broker
from streams.cluster import Cluster
from streams.kafka.acls import ANONYMOUS, anonymous_acls, create_acls
from streams.kafka.admin import apply_topics
from streams.kafka.topics import names, required_topics
from streams.settings import Settings
from tests.conftest import MakeSettings

_WITHIN_S = 30.0


@pytest.fixture
async def locked(make_settings: MakeSettings) -> AsyncIterator[tuple[Broker, Settings]]:
    """The embedded broker as `kinolog up` starts it: with its default rights, and its topics."""
    settings = make_settings(KINOLOG_KAFKA__ANONYMOUS="uploads", KINOLOG_PARTITIONS="1")
    broker = Broker(settings)
    await broker.start()
    try:
        await broker.wait_ready()
        await apply_topics(settings.with_cluster(broker.cluster))
        await create_acls(broker.cluster, ANONYMOUS, anonymous_acls(settings))
        yield broker, settings
    finally:
        await broker.stop()


@contextlib.asynccontextmanager
async def producer(cluster: Cluster, **options: Any) -> AsyncIterator[Any]:
    client = AIOKafkaProducer(**cluster.client_options(), **options)
    try:
        await client.start()
        yield client
    finally:
        await client.stop()


@contextlib.asynccontextmanager
async def reading(cluster: Cluster, topic: str, group: str | None) -> AsyncIterator[Any]:
    client = AIOKafkaConsumer(**cluster.client_options(), group_id=group, auto_offset_reset="earliest")
    try:
        await client.start()
        if group:
            client.subscribe([topic])
        else:
            client.assign([TopicPartition(topic, 0)])
        yield client
    finally:
        await client.stop()


async def test_without_the_credential_only_uploads_can_be_written(locked: tuple[Broker, Settings]) -> None:
    broker, settings = locked
    async with producer(Cluster(broker.bootstrap)) as stranger:
        for topic in required_topics(settings):
            if topic.name == names(settings).uploads:
                await stranger.send_and_wait(topic.name, b"{}", partition=0)
            else:
                with pytest.raises(TopicAuthorizationFailedError):
                    await stranger.send_and_wait(topic.name, b"forged", key=b"admin", partition=0)


async def test_without_the_credential_uploads_can_be_published_in_a_transaction(
    locked: tuple[Broker, Settings],
) -> None:
    broker, settings = locked
    async with producer(Cluster(broker.bootstrap), transactional_id="catalogue") as stranger, stranger.transaction():
        await stranger.send_and_wait(names(settings).uploads, b"{}", partition=0)
    with pytest.raises(TransactionalIdAuthorizationFailed):
        async with producer(Cluster(broker.bootstrap), transactional_id="kinolog-control"):
            pass


async def test_without_the_credential_only_events_can_be_read(locked: tuple[Broker, Settings]) -> None:
    broker, settings = locked
    topics = names(settings)
    async with producer(broker.cluster) as own:
        for topic in (topics.events, topics.tokens):
            await own.send_and_wait(topic, b"a record", key=b"a key", partition=0)
    async with reading(Cluster(broker.bootstrap), topics.events, "analysts") as stranger:
        assert (await asyncio.wait_for(stranger.getone(), _WITHIN_S)).value == b"a record"
    for other in required_topics(settings):
        if other.name not in (topics.events, topics.progress, topics.dead_letters):
            async with reading(Cluster(broker.bootstrap), other.name, None) as stranger:
                with pytest.raises(TopicAuthorizationFailedError):
                    await asyncio.wait_for(stranger.getone(), _WITHIN_S)


async def test_a_stranger_cannot_join_the_groups_of_kinolog(locked: tuple[Broker, Settings]) -> None:
    broker, settings = locked
    for group in ("kinolog-control", "kinolog-exec-default"):
        with pytest.raises(GroupAuthorizationFailedError):
            async with reading(Cluster(broker.bootstrap), names(settings).events, group) as stranger:
                await asyncio.wait_for(stranger.getone(), _WITHIN_S)


async def test_a_stranger_can_list_topics_but_not_change_them(locked: tuple[Broker, Settings]) -> None:
    broker, settings = locked
    uploads = names(settings).uploads
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        assert uploads in await admin.list_topics()
        [(_, code, *_)] = (await admin.delete_topics([uploads])).topic_error_codes
        assert code == TopicAuthorizationFailedError.errno
        change = ConfigResource(ConfigResourceType.TOPIC, uploads, configs={"retention.ms": "1"})
        [(code, *_)] = (await admin.alter_configs([change]))[0].resources
        assert code == TopicAuthorizationFailedError.errno
        assert uploads in await admin.list_topics()
    finally:
        await admin.close()


async def test_without_anonymous_clients_there_is_no_port_for_them(make_settings: MakeSettings) -> None:
    broker = Broker(make_settings(KINOLOG_KAFKA__ANONYMOUS="none"))
    await broker.start()
    try:
        await broker.wait_ready()
        assert broker.cluster.bootstrap == broker.bootstrap
        with pytest.raises(KafkaConnectionError):
            async with producer(Cluster(broker.bootstrap), request_timeout_ms=3_000):
                pass
        wrong = broker.cluster.security.__class__(
            protocol="sasl_plaintext", mechanism="PLAIN", username="kinolog", password="guess"
        )
        with pytest.raises(KafkaConnectionError):
            async with producer(Cluster(broker.bootstrap, wrong), request_timeout_ms=3_000):
                pass
    finally:
        await broker.stop()


async def test_only_the_user_that_runs_the_broker_can_read_its_files(locked: tuple[Broker, Settings]) -> None:
    _, settings = locked
    folder = settings.data_path / "kafka"
    assert _mode(folder) == 0o700
    for name in ("password", "client.properties", "server.properties"):
        assert _mode(folder / name) == 0o600


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)

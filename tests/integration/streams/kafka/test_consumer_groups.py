"""The consumer groups of an installation, on a real broker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer

from streams.broker.process import Broker
from streams.doctor import cluster
from streams.kafka.admin import apply_topics
from streams.kafka.consumer_groups import require_own_group
from streams.kafka.topics import control_group, names
from streams.settings import Settings, SettingsError
from tests.conftest import MakeSettings

GROUP = "KINOLOG_GROUP_PREFIX"


@pytest.fixture
async def settings(broker: Broker, make_settings: MakeSettings) -> Settings:
    """Of an installation whose control runs."""
    found = make_settings(
        KINOLOG_KAFKA__BOOTSTRAP=broker.bootstrap, KINOLOG_TOPIC_PREFIX="first.", KINOLOG_PARTITIONS="2"
    )
    await apply_topics(found)
    return found


@asynccontextmanager
async def member(settings: Settings) -> AsyncIterator[None]:
    """A member of control's group that has its partitions, while it recovers."""
    topics = names(settings)
    subscribed = (topics.commands, topics.jobs_changelog, topics.assets_changelog)
    consumer = AIOKafkaConsumer(*subscribed, bootstrap_servers=settings.bootstrap, group_id=control_group(settings))
    await consumer.start()
    try:
        await consumer.getmany(timeout_ms=100)
        yield
    finally:
        await consumer.stop()


async def test_a_group_of_another_installation_is_refused_while_it_runs(
    settings: Settings, make_settings: MakeSettings
) -> None:
    second = make_settings(
        KINOLOG_KAFKA__BOOTSTRAP=settings.bootstrap, KINOLOG_TOPIC_PREFIX="second.", **{GROUP: settings.own_prefix}
    )
    group = control_group(second)
    async with member(settings):
        with pytest.raises(SettingsError, match=rf"{group} is in use .* first\.commands.*{GROUP}"):
            await require_own_group(second, group)
        await require_own_group(settings, group)
        found = await cluster.groups(second)
        assert (found.level, found.exit_code) == ("problem", 2) and "first.commands" in found.message
        assert (await cluster.groups(settings)).level == "ok"
    await require_own_group(second, group)


async def test_a_cluster_that_does_not_respond_stops_no_start(make_settings: MakeSettings) -> None:
    away = make_settings(KINOLOG_KAFKA__BOOTSTRAP="127.0.0.1:1")
    await require_own_group(away, control_group(away))

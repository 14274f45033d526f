"""A queue that no executor takes from is named: to operators by `doctor`, to everyone by the counts."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from schemas.steps import step_kinds
from streams.broker.process import Broker
from streams.doctor import services
from streams.kafka.admin import apply_topics
from streams.kafka.executor_groups import executors_by_step, group_of
from streams.kafka.topics import names
from streams.settings import Settings
from tests.conftest import MakeSettings, eventually


@pytest.fixture
async def settings(broker: Broker, make_settings: MakeSettings) -> Settings:
    found = make_settings(KINOLOG_KAFKA__BOOTSTRAP=broker.bootstrap, KINOLOG_TOPIC_PREFIX="groups.")
    await apply_topics(found, 60)
    return found


@pytest.fixture
async def executors(settings: Settings) -> AsyncIterator[None]:
    """Two executors of different lanes: one has every step but noop, the other only probe."""
    topics = {step: names(settings).step_requests(step) for step in step_kinds()}
    lanes = {"groups-most": [topics[step] for step in topics if step != "noop"], "groups-probe": [topics["probe"]]}
    consumers: list[Any] = [
        AIOKafkaConsumer(*lane_topics, bootstrap_servers=settings.bootstrap, group_id=group_of(lane))
        for lane, lane_topics in lanes.items()
    ]
    for consumer in consumers:
        await consumer.start()
    yield
    for consumer in consumers:
        await consumer.stop()


async def test_of_each_step_it_is_known_how_many_executors_have_it(settings: Settings, executors: None) -> None:
    expected = {step: {"noop": 0, "probe": 2}.get(step, 1) for step in step_kinds()}

    async def known() -> bool:
        return await executors_by_step(settings, settings.cluster) == expected

    await eventually(known, 30)


async def test_doctor_names_the_step_that_no_executor_takes(settings: Settings, executors: None) -> None:
    async def named() -> bool:
        found = await services.queues(settings)
        return found.level == "warning" and "No executor for noop:" in found.message

    await eventually(named, 30)


async def test_doctor_says_that_no_executor_runs(settings: Settings) -> None:
    async def reported() -> bool:
        found = await services.queues(settings)
        return found.level == "warning" and "No executor is running" in found.message

    await eventually(reported, 30)

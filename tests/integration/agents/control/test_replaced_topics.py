"""Topics that an operator deletes, creates again, or gives more partitions, while control runs."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from schemas.step_events import StepRequested
from streams.kafka.admin import apply_topics
from streams.settings import Settings
from tests.integration.agents.outside import START_S, Control, Outside, submit

Eventually = Callable[..., Awaitable[Any]]


@asynccontextmanager
async def admin_of(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**settings.cluster.client_options())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def upload(settings: Settings, topic: str, name: str, partition: int) -> None:
    """Write an upload event as an upstream service does: its asset is called like the event."""
    about = {"specversion": "1.0", "id": name, "source": "test", "type": "media.upload.completed.v1"}
    headers = [(f"ce_{key}", value.encode()) for key, value in about.items()]
    value = json.dumps({"asset_id": name, "input": {"object": "uploads/none"}, "pipeline": "noop"}).encode()
    async with AIOKafkaProducer(**settings.cluster.client_options()) as producer:
        await producer.send_and_wait(topic, value, partition=partition, headers=headers)


async def delete_and_create(settings: Settings, topic: str) -> None:
    async with admin_of(settings) as admin:
        await admin.delete_topics([topic])
    await apply_topics(settings)


def requested(world: Outside) -> set[str]:
    return {request.asset_id for request in world.all(StepRequested)}


async def test_uploads_that_are_deleted_and_created_again_are_read_again(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    _, world = outside
    settings, topic = world.settings, world.topics.uploads
    for number in range(3):
        await upload(settings, topic, f"before_{number}", 0)
    await eventually(lambda: len(requested(world)) == 3, START_S)
    await delete_and_create(settings, topic)
    # More than there were before: offsets alone do not tell this topic from the old one.
    for number in range(5):
        await upload(settings, topic, f"after_{number}", 0)
    await eventually(lambda: requested(world) >= {f"after_{number}" for number in range(5)}, START_S)


async def test_without_uploads_everything_else_goes_on_and_a_smaller_topic_is_read(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    control, world = outside
    settings, topic = world.settings, world.topics.uploads
    for number in range(3):
        await upload(settings, topic, f"before_{number}", 0)
    await eventually(lambda: len(requested(world)) == 3, START_S)
    async with admin_of(settings) as admin:
        await admin.delete_topics([topic])
        await eventually(lambda: "topic does not exist" in control.log(), START_S)
        await world.send(submit("job_meanwhile", "meanwhile"))
        await eventually(lambda: "meanwhile" in requested(world), START_S)
        await control.kill()
        await world.send(submit("job_after", "after_a_kill"))
        await eventually(lambda: "after_a_kill" in requested(world), START_S)
        await admin.create_topics([NewTopic(topic, 1, 1)])
    await upload(settings, topic, "after_0", 0)  # fewer than there were before
    await eventually(lambda: "after_0" in requested(world), START_S)


async def test_uploads_on_added_partitions_are_read_too(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    control, world = outside
    settings, topic = world.settings, world.topics.uploads
    await upload(settings, topic, "before", 0)
    await eventually(lambda: requested(world) == {"before"}, START_S)
    async with admin_of(settings) as admin:
        await admin.create_partitions({topic: NewPartitions(settings.partitions + 3)})
    await asyncio.sleep(1.0)
    names = [f"after_{number}" for number in range(settings.partitions + 3)]
    for number, name in enumerate(names):
        await upload(settings, topic, name, number)
    await eventually(lambda: requested(world) >= set(names), START_S)
    async with AIOKafkaProducer(**settings.cluster.client_options()) as producer:
        await producer.send_and_wait(topic, b"{", partition=settings.partitions + 1)
    await eventually(lambda: len(world.letters()) == 1, START_S)
    await control.kill()
    await upload(settings, topic, "after_a_kill", settings.partitions + 2)
    await eventually(lambda: "after_a_kill" in requested(world), START_S)
    assert (await apply_topics(settings)).differing == [
        f"{topic}: it has {settings.partitions + 3} partitions, kinolog uses {settings.partitions}"
    ]


async def test_uploads_are_read_on_partitions_that_were_added_while_control_was_restarted(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    control, world = outside
    settings, topic = world.settings, world.topics.uploads
    await upload(settings, topic, "before", 0)
    await eventually(lambda: requested(world) == {"before"}, START_S)
    async with admin_of(settings) as admin:
        await admin.create_partitions({topic: NewPartitions(settings.partitions + 1)})
    await control.kill()  # back within its session, it gets its old assignment
    await asyncio.sleep(1.0)
    await upload(settings, topic, "after", settings.partitions)
    await eventually(lambda: "after" in requested(world), START_S)


async def test_added_partitions_of_a_topic_with_keys_are_reported_at_once(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    control, world = outside
    settings, topic = world.settings, world.topics.commands
    await world.send(submit("job_1", "asset_1"))
    await eventually(lambda: requested(world) == {"asset_1"}, START_S)
    async with admin_of(settings) as admin:
        await admin.create_partitions({topic: NewPartitions(settings.partitions + 3)})
    await eventually(lambda: "topic has more partitions than are used" in control.log(), START_S)
    await control.kill()
    await world.send(submit("job_2", "asset_2"))
    await eventually(lambda: requested(world) == {"asset_1", "asset_2"}, START_S)

"""A log that lost its last records, as by a power cut: what comes at their offsets counts as new."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from schemas.commands import CancelJob
from schemas.facts import JobCancelled, JobSubmitted
from schemas.jobs import Job
from streams.kafka.admin import apply_topics
from streams.kafka.partitioner import partition_of
from streams.kafka.reader import open_reader, read_to_end
from streams.kafka.topics import names
from streams.settings import Settings
from tables.rows import applied_offsets, encode_row, watermark_row
from tests.installations import Installation
from tests.integration.agents.outside import START_S, Control, Outside, control_and_world, submit
from tests.unit.web.rows import a_job, an_asset

Eventually = Callable[..., Awaitable[Any]]
#: Far beyond what the test writes.
_LOST = 5_000


@pytest.fixture
async def settings(own_installation: Installation, make_settings: Callable[..., Settings]) -> Settings:
    """Of a log with rows of applied records, and without those records."""
    settings = make_settings(**own_installation.environ)
    await apply_topics(settings)
    topics = names(settings)
    at = {topics.commands: _LOST, topics.step_events: _LOST + 1}
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    for table, row in ((topics.jobs_changelog, a_job(1, at=at)), (topics.assets_changelog, an_asset(1, at=at))):
        place = partition_of(row.asset_id if isinstance(row, Job) else row.id, settings.partitions)
        await producer.send_and_wait(table, encode_row(row), key=row.id.encode(), partition=place)
        for partition in range(settings.partitions):
            key, mark = watermark_row(partition, at)
            await producer.send_and_wait(table, mark, key=key.encode(), partition=partition)
    await producer.stop()
    return settings


async def test_commands_after_the_loss_are_applied_also_after_the_next_start(
    settings: Settings, eventually: Eventually, tmp_path: Path
) -> None:
    async with control_and_world(settings, tmp_path / "control.log") as (control, world):
        await _applied(control, world, eventually, "first")
        await control.kill()
        await _applied(control, world, eventually, "second")
        assert "the log has lost records that were applied" in control.log()
        assert control.log().count("the log has lost") == 2 * settings.partitions, "it is found again at each start"
    at = await claims(settings)
    assert max(at.values()) < _LOST


async def _applied(control: Control, world: Outside, eventually: Eventually, name: str) -> None:
    """Submit a job and cancel it: a cancel that counts as a repeat would change nothing."""
    about = {"job_id": f"job_{name}", "asset_id": f"asset_{name}"}
    try:
        await world.send(submit(**about))
        await eventually(lambda: world.all(JobSubmitted, job_id=f"job_{name}"), START_S)
        await world.send(CancelJob(**about, requested_by="test"))
        await eventually(lambda: world.all(JobCancelled, job_id=f"job_{name}"), START_S)
    except AssertionError as error:
        raise AssertionError(f"the command was ignored:\n{control.log()[-2000:]}") from error


async def claims(settings: Settings) -> dict[tuple[str, int], int]:
    """Applied offsets in the last version of every row of both tables."""
    topics, last = names(settings), dict[tuple[str, int, bytes], bytes | None]()
    tables = (topics.jobs_changelog, topics.assets_changelog)
    parts = [TopicPartition(table, partition) for table in tables for partition in range(settings.partitions)]
    async with open_reader(settings.cluster, parts, reset="earliest") as reader:
        async for record in read_to_end(reader, parts):
            last[record.topic, record.partition, record.key] = record.value
    rows = [(partition, _at(value)) for (_, partition, _), value in last.items() if value is not None]
    return applied_offsets(rows)


def _at(row: bytes) -> dict[str, int]:
    found: dict[str, int] = msgspec.json.decode(row).get("at", {})
    return found

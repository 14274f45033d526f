"""The facts on the log are read without waiting for more of them, and without reading those of other jobs."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas.base import Message
from schemas.facts import JobCompleted, JobDeleted, JobFact, JobSubmitted
from schemas.jobs import Input
from streams.kafka.envelope import binary
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from streams.settings import Settings
from tables.effects import event_id
from tests.broker_requests import Requests, requests
from tests.integration.web.logs import Make, log, make
from tests.unit.web.readmodel.log_records import of_job as of_job_id
from web.readmodel.position import Position
from web.timelines.event_index import EventIndex
from web.timelines.event_indexer import EventIndexer
from web.timelines.event_log import EventLog

__all__ = ["log", "make", "requests"]  # fixtures are found by their name in this module

ASSET = "asset_timeline"


def facts_of(job_id: str, **more: Any) -> list[JobFact]:
    """Two facts about a job."""
    job: dict[str, Any] = {"job_id": job_id, "asset_id": ASSET, "pipeline": "noop", "run": 1}
    return [JobSubmitted(**job, input=Input(object="clip.mp4"), **more), JobCompleted(**job)]


async def publish(settings: Settings, facts: Sequence[JobFact]) -> None:
    """One batch for each: what lies apart in time lies in different batches."""
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as producer:
        await send(producer, settings, facts)


async def send(producer: AIOKafkaProducer, settings: Settings, facts: Sequence[JobFact]) -> None:
    """Send facts of ASSET, each after the one before is written."""
    for fact in facts:
        ids: dict[str, Any] = {"event_id": event_id(fact), "source": "test", "subject": ASSET}
        value, headers = binary(fact, **ids, correlation_id=fact.job_id)
        partition = partition_of(ASSET, settings.partitions)
        await producer.send_and_wait(names(settings).events, value, partition=partition, headers=headers)


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[EventIndex]:
    found = EventIndex(tmp_path / "events")
    yield found
    found.close()


@pytest.fixture
def indexer(make: Make, index: EventIndex) -> EventIndexer:
    """Of this module's log."""
    settings = make()
    position = Position(names(settings).commands)
    position.restart("mark", [0] * settings.partitions, rebuilding=False)
    return EventIndexer(settings, position, index)


@pytest.fixture
async def published(make: Make, request: pytest.FixtureRequest) -> list[JobFact]:
    """Facts about two jobs of one asset on the log; the other partitions are empty."""
    facts = [fact for n in (1, 2) for fact in facts_of(f"{request.node.name}-{n}")]
    await publish(make(), facts)
    return facts


async def of_job(events: EventLog, job_id: str) -> list[Message]:
    """The job's messages, the job being of this minute."""
    return [fact.message for fact in (await events.of_job(ASSET, job_id, time.time() - 60)).facts]


async def test_a_timeline_never_waits_for_the_log_to_grow(
    make: Make, requests: Requests, index: EventIndex, published: list[JobFact]
) -> None:
    assert await of_job(EventLog(make(), index), published[-1].job_id) == published[2:]
    assert (requests.lookups_behind_a_fetch, requests.empty_fetches) == (0, 0)
    assert requests.longest_wait_ms <= 100


async def test_a_timeline_reads_over_what_lies_between_its_facts(
    make: Make, requests: Requests, index: EventIndex, indexer: EventIndexer
) -> None:
    settings = make()
    first, last = facts_of("far_apart")
    between = facts_of("between", passthrough="x" * 4000)[:1] * 500
    await publish(settings, [first, *between, last, *between])
    await indexer.catch_up()
    requests.fetched_bytes = 0
    assert await of_job(EventLog(settings, index), "far_apart") == [first, last]
    assert requests.fetched_bytes < 300_000  # of some four million
    assert (requests.lookups_behind_a_fetch, requests.empty_fetches) == (0, 0)


async def test_a_timeline_has_what_was_published_since_the_index_was_brought_up_to_date(
    make: Make, index: EventIndex, indexer: EventIndexer
) -> None:
    first, last = facts_of("going_on")
    await publish(make(), [first])
    await indexer.catch_up()
    await publish(make(), [last])
    assert await of_job(EventLog(make(), index), "going_on") == [first, last]
    await indexer.catch_up()
    assert await of_job(EventLog(make(), index), "going_on") == [first, last]


async def test_an_index_of_another_log_is_not_believed(make: Make, index: EventIndex, published: list[JobFact]) -> None:
    settings = make()
    partition = partition_of(ASSET, settings.partitions)
    await index.reset("another log", {partition: 0})
    await index.add([of_job_id(published[-1].job_id, offset, partition=partition) for offset in (0, 1, 10**6)])
    assert await of_job(EventLog(settings, index), published[-1].job_id) == published[2:]


async def test_the_index_is_made_again_for_another_log_and_keeps_nothing_of_deleted_jobs(
    make: Make, index: EventIndex, indexer: EventIndexer
) -> None:
    settings, [first, last] = make(), facts_of("deleted")
    partition = partition_of(ASSET, settings.partitions)
    gone = JobDeleted(job_id="deleted", asset_id=ASSET, pipeline="noop", run=1)
    await index.reset("another log", {partition: 10**6})
    await publish(settings, [first, last])
    await indexer.catch_up()
    assert len((await index.of_job(partition, "deleted") or ([],))[0]) == 2
    await publish(settings, [gone])
    await indexer.catch_up()
    assert len((await index.of_job(partition, "deleted") or ([],))[0]) == 0


async def test_of_a_job_with_too_many_events_the_newest_are_kept_by_index_and_timeline(
    make: Make, index: EventIndex, indexer: EventIndexer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.timelines.event_log.MAX_JOB_EVENTS", 3)
    job: dict[str, Any] = {"job_id": "retried", "asset_id": ASSET, "pipeline": "noop"}
    runs = [JobSubmitted(run=n, input=Input(object="clip.mp4"), **job) for n in range(1, 6)]
    await publish(make(), runs)
    events = EventLog(make(), index)
    by_scan = await events.of_job(ASSET, "retried", time.time() - 60)
    await indexer.catch_up()
    by_index = await events.of_job(ASSET, "retried", time.time() - 60)
    assert [fact.message for fact in by_scan.facts] == [fact.message for fact in by_index.facts] == runs[-3:]
    assert not by_scan.complete and not by_index.complete


async def test_a_timeline_reads_no_more_of_a_log_that_is_not_indexed_than_is_newer_than_the_job(
    make: Make, requests: Requests, index: EventIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.timelines.event_log._LONG_TAIL", 10)
    monkeypatch.setattr("web.timelines.event_log.SKEW_S", 0.0)
    settings = make()
    await index.reset("log", dict.fromkeys(range(settings.partitions), 0))  # it has just begun
    await publish(settings, facts_of("earlier", passthrough="x" * 4000)[:1] * 300)
    await asyncio.sleep(0.01)  # the log's clock counts milliseconds
    created_at = time.time()
    facts = facts_of("later")
    await publish(settings, facts)
    requests.fetched_bytes = 0
    history = await EventLog(settings, index).of_job(ASSET, "later", created_at)
    assert [fact.message for fact in history.facts] == facts
    assert requests.fetched_bytes < 100_000  # of more than a million

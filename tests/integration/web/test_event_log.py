"""The facts on the log are read without waiting for more of them."""

import asyncio
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas.base import Message
from schemas.facts import JobCompleted, JobFact, JobSubmitted
from schemas.jobs import Input
from streams.envelope import binary
from streams.partition import partition_of
from streams.topics import names
from tests.broker_requests import Requests, requests
from tests.integration.web.logs import Make, log, make
from web.event_log import EventLog

__all__ = ["log", "make", "requests"]  # fixtures are found by their name in this module


@pytest.fixture
async def published(make: Make) -> list[JobFact]:
    """Facts about two jobs of one asset on the log; the other partitions are empty."""
    settings, facts = make(), list[JobFact]()
    for job_id in ("job_first", "job_second"):
        job: dict[str, Any] = {"job_id": job_id, "asset_id": "asset_timeline", "pipeline": "noop", "run": 1}
        facts += [JobSubmitted(**job, input=Input(object="clip.mp4")), JobCompleted(**job)]
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as producer:
        for n, fact in enumerate(facts):
            value, headers = binary(
                fact, event_id=f"fact-{n}", source="test", subject=fact.asset_id, correlation_id=fact.job_id
            )
            partition = partition_of(fact.asset_id, settings.partitions)
            await producer.send_and_wait(names(settings).events, value, partition=partition, headers=headers)
    return facts


async def test_a_timeline_never_waits_for_the_log_to_grow(
    make: Make, requests: Requests, published: list[JobFact]
) -> None:
    found = await EventLog(make()).of_job("asset_timeline", "job_second", time.time() - 60, time.time() + 1)
    assert _messages(found) == [fact for fact in published if fact.job_id == "job_second"]
    assert (requests.lookups_behind_a_fetch, requests.empty_fetches) == (0, 0)
    assert requests.longest_wait_ms <= 100


async def test_the_past_of_all_jobs_never_waits_for_a_partition_that_was_read_to_its_end(
    make: Make, requests: Requests, published: list[JobFact]
) -> None:
    await asyncio.sleep(0.01)  # the log's clock counts milliseconds
    found = [fact async for fact in EventLog(make()).until(time.time())]
    assert _messages(found)[-len(published) :] == published  # the log holds those of other tests, too
    assert (requests.lookups_behind_a_fetch, requests.empty_fetches) == (0, 0)


def _messages(facts: list[Any]) -> list[Message]:
    return [fact.message for fact in facts]

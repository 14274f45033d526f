"""A client of Kafka that is stopped leaves no connection open, wherever it was, and ends nobody else."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError

from streams.broker.process import Broker
from streams.cluster import Cluster
from streams.kafka.admin import apply_topics
from streams.kafka.admin_client import admin_client
from streams.kafka.producer import stop_producer
from streams.kafka.reader import make_consumer, started
from streams.kafka.topics import names
from streams.settings import load

#: More turns of the event loop than a start takes.
_TURNS = 40


def _connections() -> set[str]:
    """The sockets of this process."""
    links = [str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    return {link for link in links if link.startswith("socket:")}


def _reader(cluster: Cluster) -> Any:
    consumer = make_consumer(cluster, reset="earliest")
    return started(consumer, consumer.stop)


def _producer(cluster: Cluster) -> Any:
    producer = AIOKafkaProducer(**cluster.client_options())
    return started(producer, lambda: stop_producer(producer, 1.0))


def _admin(cluster: Cluster) -> Any:
    return admin_client(cluster, 5.0)


async def _use(client: Any, outcome: list[str]) -> None:
    async with client:
        outcome.append("started")


@pytest.mark.parametrize("make", [_reader, _producer, _admin])
async def test_a_start_that_is_cancelled_leaves_no_connection(broker: Broker, make: Callable[[Cluster], Any]) -> None:
    cluster = load({"KINOLOG_KAFKA__BOOTSTRAP": broker.bootstrap}).cluster
    outcome: list[str] = []
    await _use(make(cluster), outcome)  # what is made once in a process is there
    before = _connections()
    for turns in range(1, _TURNS):
        task = asyncio.create_task(_use(make(cluster), outcome))
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert 1 < len(outcome) < _TURNS, "no start was cancelled, or none came to its end"
    await asyncio.sleep(0.1)  # a transport closes its socket in the next turn of the loop
    assert _connections() <= before


async def test_a_reader_that_is_stopped_in_the_pause_after_a_failed_fetch_raises_what_ended_it(broker: Broker) -> None:
    """aiokafka raised CancelledError from its stop: whoever followed a topic ended, and nobody started it again.

    Source: aio-libs/aiokafka#647, which reports it of a stop right after the start.
    """
    settings = load({"KINOLOG_KAFKA__BOOTSTRAP": broker.bootstrap, "KINOLOG_TOPIC_PREFIX": "connections."})
    await apply_topics(settings, 60)
    before, part = _connections(), TopicPartition(names(settings).progress, 0)
    failed = asyncio.Event()

    async def fail(*_: Any, **__: Any) -> None:
        failed.set()
        raise KafkaConnectionError("the connection is lost")

    consumer = make_consumer(settings.cluster, reset="earliest", retry_backoff_ms=60_000)

    async def read() -> None:
        async with started(consumer, consumer.stop):
            consumer._client.send = fail
            consumer.assign([part])
            consumer.seek(part, 0)
            await failed.wait()
            await asyncio.sleep(0.01)
            raise KafkaConnectionError("while it reads")

    with pytest.raises(KafkaConnectionError, match="while it reads"):
        await read()
    await asyncio.sleep(0.1)
    assert _connections() <= before

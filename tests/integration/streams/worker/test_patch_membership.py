"""Who may have been evicted writes nothing, and who has been ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance, GroupCoordinator

from streams.broker.process import Broker
from streams.kafka.admin import apply_topics
from streams.kafka.topics import names
from streams.settings import load
from streams.worker import patch_membership
from tests.conftest import eventually

_SESSION_S = 2.0
_PATCHED = (
    (GroupCoordinator, "_do_heartbeat"),
    (GroupCoordinator, "reset_generation"),
    (CoordinatorGroupRebalance, "_send_sync_group_request"),
    (AIOKafkaConnection, "connect"),
    (AIOKafkaConnection, "send"),
)


class Member(NamedTuple):
    """A client in a group that also writes."""

    membership: patch_membership.Membership
    consumer: Any
    producer: Any
    topic: str
    #: Reasons for which the process would have ended.
    ends: list[str]


@pytest.fixture
async def member(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Member]:
    for owner, name in _PATCHED:
        monkeypatch.setattr(owner, name, getattr(owner, name))  # put back afterwards
    ends: list[str] = []
    monkeypatch.setattr(patch_membership, "end_process", lambda code, reason: ends.append(f"{code} {reason}"))
    settings = load({"KINOLOG_KAFKA__BOOTSTRAP": broker.bootstrap, "KINOLOG_TOPIC_PREFIX": "member."})
    await apply_topics(settings, 60)
    topic = names(settings).uploads
    watched = patch_membership.watch("member", _SESSION_S)
    consumer: Any = AIOKafkaConsumer(
        topic,
        bootstrap_servers=broker.bootstrap,
        client_id="member",
        group_id="member",
        session_timeout_ms=int(_SESSION_S * 1000),
        heartbeat_interval_ms=200,
    )
    producer: Any = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, client_id="member")
    await consumer.start()
    await producer.start()
    try:
        yield Member(watched, consumer, producer, topic, ends)
    finally:
        await producer.stop()
        await consumer.stop()


async def test_without_answers_nothing_leaves_and_then_all_of_it(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    await member.producer.send_and_wait(member.topic, b"before", partition=0)
    with monkeypatch.context() as cut:
        cut.setattr(patch_membership, "_stock_heartbeat", _no_answer)
        await eventually(lambda: not member.membership.holds())
        kept = await member.producer.send(member.topic, b"kept", partition=0)
        await asyncio.wait({kept}, timeout=0.3)
        assert not kept.done()
    assert await asyncio.wait_for(kept, 20)
    assert member.ends == []


async def test_an_eviction_ends_the_process(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    assert member.membership.holds()
    with monkeypatch.context() as cut:
        cut.setattr(patch_membership, "_stock_heartbeat", _no_answer)
        await asyncio.sleep(2 * _SESSION_S)  # the broker counts, nothing else can be waited for
    await eventually(lambda: member.ends, 20)
    assert member.ends[0] == "75 evicted from the group: others may own these partitions now"


async def test_other_clients_of_the_process_are_left_alone(member: Member, broker: Broker) -> None:
    other: Any = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await other.start()
    await other.send_and_wait(member.topic, b"other", partition=0)
    await other.stop()


async def _no_answer(_coordinator: Any) -> bool:
    return False

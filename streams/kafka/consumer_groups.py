"""The consumer groups of control and executors as the broker describes them: members, subscriptions, assignments."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import LeaveGroupRequest

from streams.cluster import Cluster
from streams.kafka.admin_client import admin_client
from streams.kafka.topics import names
from streams.settings import Settings, SettingsError

log = logging.getLogger(__name__)

#: States in which the broker describes all members. Source: Kafka's DescribeGroups, group states.
_SETTLED = ("Stable", "Empty", "Dead")
_TIMEOUT_S = 5.0
_RETRY_S = 0.2


class Member(NamedTuple):
    """One executor, as a member of its group."""

    id: str
    client_id: str
    subscribed: frozenset[str]
    #: Topics with partitions assigned to it, and these partitions.
    assigned: frozenset[str]
    partitions: frozenset[tuple[str, int]]


def executor_group(settings: Settings, lane: str = "") -> str:
    """Name of the consumer group of a lane's executors; without a lane the beginning of all of them."""
    return f"{settings.own_prefix}exec-{lane}"


async def leave_outdated(cluster: Cluster, group: str, client_id: str, topics: Collection[str]) -> None:
    """End the membership of an earlier process of this name that subscribed to other topics.

    A static member that returns within its session gets its old assignment back without a rebalance, so that new topics
    would never be assigned (KIP-345). Call before joining. Failures are ignored: the old session expires by itself.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S), admin_client(cluster, _TIMEOUT_S) as admin:
            for member in await _members(admin, [group]) or ():
                if member.client_id == client_id and member.subscribed != frozenset(topics):
                    log.info("leaving the group: the steps of this executor changed", extra={"group": group})
                    await _leave(admin, group, member.id)
    except (KafkaError, OSError, TimeoutError) as error:
        log.debug("group cannot be described", extra={"group": group, "error": repr(error)})


async def require_own_group(settings: Settings, group: str) -> None:
    """Raise SettingsError if a live member of the group subscribes to topics of another installation.

    The members of a group share the partitions of all their topics, so two installations in one group take records from
    each other. A cluster that does not respond within five seconds does not stop a start.
    """
    if other := foreign_topics(await _described(settings.cluster, group) or (), settings):
        raise SettingsError(
            f"The consumer group {group} is in use by another installation, which reads {', '.join(sorted(other))}. "
            "Set another KINOLOG_GROUP_PREFIX for one of the two."
        )


def foreign_topics(members: Iterable[Member], settings: Settings) -> frozenset[str]:
    """Topics to which members subscribe and that are not of this installation."""
    topics = names(settings)
    # While it recovers, control subscribes to the changelogs, too. They have the group's name: nobody else has them.
    rows = {topics.jobs_changelog, topics.assets_changelog}
    subscribed = frozenset(topic for member in members for topic in member.subscribed) - rows
    return frozenset(topic for topic in subscribed if not topic.startswith(settings.topic_prefix))


async def subscribed_topics(admin: AIOKafkaAdminClient, settings: Settings) -> frozenset[str]:
    """The topics that members of executors' groups subscribe to. Raises KafkaError."""
    beginning = executor_group(settings)
    groups = [group for group, *_ in await admin.list_consumer_groups() if group.startswith(beginning)]
    members = await _members(admin, groups)
    while members is None:  # a group rebalances
        await asyncio.sleep(_RETRY_S)
        members = await _members(admin, groups)
    return frozenset(topic for member in members for topic in member.subscribed)


async def leave(cluster: Cluster, group: str, client_id: str) -> None:
    """End the membership of this process, so that its next start causes a new assignment. Failures are ignored: the
    group assigns again once the session has expired.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S), admin_client(cluster, _TIMEOUT_S) as admin:
            while (members := await _members(admin, [group])) is None:
                await asyncio.sleep(_RETRY_S)
            for member in members:
                if member.client_id == client_id:
                    await _leave(admin, group, member.id)
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("group not left", extra={"group": group, "error": repr(error)})


async def assigned_partitions(cluster: Cluster, group: str, topic: str) -> set[int] | None:
    """Partitions of a topic that members of the group have; None while it rebalances or cannot be described."""
    if (members := await _described(cluster, group)) is None:
        return None
    return {number for member in members for name, number in member.partitions if name == topic}


async def _described(cluster: Cluster, group: str) -> list[Member] | None:
    """Members of the group; None while it rebalances or cannot be described."""
    try:
        async with asyncio.timeout(_TIMEOUT_S), admin_client(cluster, _TIMEOUT_S) as admin:
            return await _members(admin, [group])
    except (KafkaError, OSError, TimeoutError) as error:
        log.debug("group cannot be described", extra={"group": group, "error": repr(error)})
        return None


async def _leave(admin: AIOKafkaAdminClient, group: str, member_id: str) -> None:
    coordinator = await admin.find_coordinator(group)
    await admin._send_request(LeaveGroupRequest(group, member_id), coordinator)


async def _members(admin: AIOKafkaAdminClient, groups: Sequence[str]) -> list[Member] | None:
    """Members of all groups; None while one of them rebalances."""
    result: list[Member] = []
    for group in groups:  # one at a time: aiokafka 0.14 reads a DescribeGroups response v3 by the schema of v2
        [response] = await admin.describe_consumer_groups([group])
        [(error_code, _, state, _, _, members, *_)] = response.groups
        if error_code or state not in _SETTLED:
            return None
        result += [_member(*member) for member in members]
    return result


def _member(member_id: str, client_id: str, _host: str, metadata: bytes, assignment: bytes, *_: Any) -> Member:
    subscribed = ConsumerProtocol.METADATA.decode(metadata).subscription
    parts = frozenset(tuple(part) for part in ConsumerProtocol.ASSIGNMENT.decode(assignment).partitions())
    return Member(member_id, client_id, frozenset(subscribed), frozenset(topic for topic, _ in parts), parts)

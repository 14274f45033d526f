"""The consumer groups of executors as the broker knows them: which topics their members subscribe to and have."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import LeaveGroupRequest

from schemas.jobs import PRIORITIES
from schemas.steps import step_kinds
from streams.kafka import patch_connection
from streams.kafka.reader import started
from streams.kafka.topics import names
from streams.settings import Settings

log = logging.getLogger(__name__)

_PREFIX = "kinolog-exec-"
#: States in which the broker describes all members. Source: Kafka's DescribeGroups, group states.
_SETTLED = ("Stable", "Empty", "Dead")
_TIMEOUT_S = 5.0


class Member(NamedTuple):
    """One executor, as a member of its group."""

    id: str
    client_id: str
    subscribed: frozenset[str]
    #: Topics of which it has partitions.
    assigned: frozenset[str]


def group_of(lane: str) -> str:
    """Name of the group of a lane's executors."""
    return _PREFIX + lane


async def leave_outdated(bootstrap: str, group: str, client_id: str, topics: Collection[str]) -> None:
    """End the membership of an earlier process of this name that subscribed to other topics.

    A static member that returns within its session gets its old assignment back, and no rebalance: topics that are new
    would never be assigned to anyone (KIP-345). Call before joining. What cannot be done now is done without: the
    session of a member that nobody renews ends by itself.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S), _admin(bootstrap) as admin:
            for member in await _members(admin, [group]) or ():
                if member.client_id == client_id and member.subscribed != frozenset(topics):
                    log.info("other steps than before: the group is left, to be joined again", extra={"group": group})
                    await _leave(admin, group, member.id)
    except (KafkaError, OSError, TimeoutError) as error:
        log.debug("the group cannot be described", extra={"group": group, "error": repr(error)})


async def _leave(admin: AIOKafkaAdminClient, group: str, member_id: str) -> None:
    coordinator = await admin.find_coordinator(group)
    await admin._send_request(LeaveGroupRequest(group, member_id), coordinator)


async def executors_by_step(settings: Settings, bootstrap: str) -> dict[str, int] | None:
    """How many executors take requests of each step; None while a group rebalances. Raises KafkaError, TimeoutError."""
    async with asyncio.timeout(_TIMEOUT_S), _admin(bootstrap) as admin:
        groups = [name for name, _ in await admin.list_consumer_groups() if name.startswith(_PREFIX)]
        members = await _members(admin, groups) if groups else []
    return None if members is None else count_by_step(settings, [member.assigned for member in members])


def count_by_step(settings: Settings, assigned: Iterable[frozenset[str]]) -> dict[str, int]:
    """Of each step, how many of the executors have partitions of one of its topics."""
    known, topics = names(settings), list(assigned)
    lines = {step: {known.step_requests(step, priority) for priority in PRIORITIES} for step in step_kinds()}
    return {step: sum(not line.isdisjoint(of_one) for of_one in topics) for step, line in lines.items()}


def untaken(executors: Mapping[str, int]) -> list[str]:
    """Steps whose requests nobody takes."""
    return [step for step, count in executors.items() if not count]


def _admin(bootstrap: str) -> AbstractAsyncContextManager[AIOKafkaAdminClient]:
    patch_connection.install()
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(_TIMEOUT_S * 1000))
    return started(admin, admin.close)


async def _members(admin: AIOKafkaAdminClient, groups: Sequence[str]) -> list[Member] | None:
    """Members of all groups; None while one of them shares out."""
    found: list[Member] = []
    for group in groups:  # one at a time: aiokafka 0.14 reads a DescribeGroups response v3 by the schema of v2
        [answer] = await admin.describe_consumer_groups([group])
        [(error_code, _, state, _, _, members, *_)] = answer.groups
        if error_code or state not in _SETTLED:
            return None
        found += [_member(*member) for member in members]
    return found


def _member(member_id: str, client_id: str, _host: str, metadata: bytes, assignment: bytes, *_: Any) -> Member:
    subscribed = ConsumerProtocol.METADATA.decode(metadata).subscription
    assigned = {part.topic for part in ConsumerProtocol.ASSIGNMENT.decode(assignment).partitions()}
    return Member(member_id, client_id, frozenset(subscribed), frozenset(assigned))

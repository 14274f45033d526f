"""Access control lists: the rights on the log that each role needs, and no others.

Roles are the processes of kinolog (web, control, executor), the operator who runs `kinolog topics apply`, whoever runs
`kinolog backup`, and clients: producers of uploads and consumers of events. Executors handle hostile media, so they can
neither read tokens nor write commands, rows or removals.
"""

import asyncio
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any, Literal, NamedTuple

from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest, DescribeAclsRequest

from streams.cluster import Cluster
from streams.kafka.admin_client import admin_client
from streams.kafka.consumer_groups import executor_group
from streams.kafka.topics import backed_up, control_group, names
from streams.settings import Settings

Role = Literal["web", "control", "executor", "operator", "backup", "producer", "consumer"]
ROLES: tuple[Role, ...] = ("web", "control", "executor", "operator", "backup", "producer", "consumer")
#: Principal of connections without a credential. Source: Kafka, KafkaPrincipal.ANONYMOUS.
ANONYMOUS = "User:ANONYMOUS"
_ANY = "*"
#: Name of the cluster as a resource. Source: Kafka, Resource.CLUSTER_NAME.
_CLUSTER_NAME = "kafka-cluster"
_TIMEOUT_S = 15.0
#: Seconds within which a broker applies the rules, and between two checks.
_APPLIED_S, _POLL_S = 30.0, 0.05
#: "Any" of every kind of filter. Source: Kafka, the ANY constants of ResourceType, PatternType, AclOperation.
_ANY_CODE = 1


class Resource(IntEnum):
    """The kind of thing that a rule is about. Source: Kafka, org.apache.kafka.common.resource.ResourceType."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5


class Operation(IntEnum):
    """What is done with it. Source: Kafka, org.apache.kafka.common.acl.AclOperation."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11


class _Pattern(IntEnum):
    """Source: Kafka, org.apache.kafka.common.resource.PatternType."""

    LITERAL = 3
    PREFIXED = 4


class _Permission(IntEnum):
    """Source: Kafka, org.apache.kafka.common.acl.AclPermissionType."""

    DENY = 2
    ALLOW = 3


class Acl(NamedTuple):
    """A rule about one resource, or about all whose names begin so."""

    resource: Resource
    name: str
    operations: tuple[Operation, ...]
    prefixed: bool = False
    #: A denial counts for more than any permission.
    allowed: bool = True


def acls_of(role: Role, settings: Settings) -> list[Acl]:
    """The rules of a role. Rights to read and to write include the right to describe."""
    return {
        "web": _web,
        "control": _control,
        "executor": _executor,
        "operator": _operator,
        "backup": _backup,
        "producer": _producer,
        "consumer": _consumer,
    }[role](settings)


def anonymous_acls(settings: Settings) -> list[Acl]:
    """The rules of clients without a credential on the embedded broker: as producers and consumers; listing."""
    return [
        *_producer(settings),
        *_consumer(settings),
        Acl(Resource.TOPIC, settings.topic_prefix, (Operation.DESCRIBE,), prefixed=True),
        *_topics(Operation.DESCRIBE, names(settings).jobs_changelog, names(settings).assets_changelog),
        Acl(Resource.CLUSTER, _CLUSTER_NAME, (Operation.DESCRIBE,)),
    ]


def _web(settings: Settings) -> list[Acl]:
    topics = names(settings)
    return [
        *_topics(Operation.WRITE, topics.commands, topics.source_urls, topics.progress, topics.tokens, topics.audit),
        *_topics(Operation.READ, topics.jobs_changelog, topics.assets_changelog, topics.events, topics.progress),
        *_topics(Operation.READ, topics.tokens, topics.calls, topics.audit, topics.dead_letters, topics.executors),
        *_topics(Operation.WRITE, topics.calls),
        *_topics(Operation.READ, topics.commands, topics.uploads, topics.step_events),  # how far control is behind
        Acl(Resource.GROUP, executor_group(settings), (Operation.DESCRIBE,), prefixed=True),
        Acl(Resource.GROUP, control_group(settings), (Operation.DESCRIBE,)),
        Acl(Resource.CLUSTER, _CLUSTER_NAME, (Operation.DESCRIBE,)),
    ]


def _control(settings: Settings) -> list[Acl]:
    topics = names(settings)
    rows = topics.jobs_changelog, topics.assets_changelog
    return [
        *_topics(Operation.READ, topics.commands, topics.uploads, topics.step_events, topics.executors, *rows),
        *_topics(Operation.WRITE, topics.commands, topics.step_events, topics.events, topics.progress, *rows),
        *_topics(Operation.WRITE, topics.control, topics.removals, topics.source_urls, topics.dead_letters),
        _requests(settings, Operation.WRITE),
        Acl(Resource.GROUP, control_group(settings), (Operation.READ,)),
    ]


def _executor(settings: Settings) -> list[Acl]:
    topics = names(settings)
    return [
        _requests(settings, Operation.READ),
        *_topics(Operation.READ, topics.control, topics.removals, topics.source_urls, topics.executors),
        *_topics(Operation.WRITE, topics.step_events, topics.progress, topics.dead_letters, topics.source_urls),
        *_topics(Operation.WRITE, topics.executors),
        Acl(Resource.GROUP, executor_group(settings), (Operation.READ,), prefixed=True),
    ]


def _operator(settings: Settings) -> list[Acl]:
    configure = (Operation.CREATE, Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS, Operation.ALTER_CONFIGS)
    topics = names(settings)
    return [
        Acl(Resource.TOPIC, settings.topic_prefix, configure, prefixed=True),
        *(Acl(Resource.TOPIC, rows, configure) for rows in (topics.jobs_changelog, topics.assets_changelog)),
        *_topics(Operation.READ, topics.audit),  # `kinolog audit verify`
        Acl(Resource.TOPIC, f"{topics.step_requests}.", (Operation.DELETE,), prefixed=True),  # `topics apply --prune`
        Acl(Resource.GROUP, settings.own_prefix, (Operation.DESCRIBE,), prefixed=True),
    ]


def _backup(settings: Settings) -> list[Acl]:
    rows, others = backed_up(settings)
    return list(_topics(Operation.READ, *rows, *others))


def _producer(settings: Settings) -> list[Acl]:
    transactions = (Operation.WRITE, Operation.DESCRIBE)
    return [
        *_topics(Operation.WRITE, names(settings).uploads),
        Acl(Resource.TRANSACTIONAL_ID, _ANY, transactions),
        Acl(Resource.TRANSACTIONAL_ID, settings.own_prefix, transactions, prefixed=True, allowed=False),
    ]


def _consumer(settings: Settings) -> list[Acl]:
    topics = names(settings)
    return [
        *_topics(Operation.READ, topics.events, topics.progress, topics.dead_letters),
        Acl(Resource.GROUP, _ANY, (Operation.READ,)),
        Acl(Resource.GROUP, settings.own_prefix, (Operation.READ,), prefixed=True, allowed=False),
    ]


def _topics(operation: Operation, *topics: str) -> Iterator[Acl]:
    return (Acl(Resource.TOPIC, topic, (operation,)) for topic in topics)


def _requests(settings: Settings, operation: Operation) -> Acl:
    return Acl(Resource.TOPIC, f"{settings.topic_prefix}step-requests", (operation,), prefixed=True)


def kafka_acls_arguments(principal: str, acl: Acl) -> list[str]:
    """Arguments of Kafka's `kafka-acls.sh` that add the rule for `principal`, for example "User:kinolog-web"."""
    effect = "allow" if acl.allowed else "deny"
    operations = [
        word for operation in acl.operations for word in ("--operation", operation.name.title().replace("_", ""))
    ]
    resource = f"--{acl.resource.name.lower().replace('_', '-')}"
    name = [] if acl.resource is Resource.CLUSTER else [acl.name]
    pattern = ["--resource-pattern-type", "prefixed"] if acl.prefixed else []
    return ["--add", f"--{effect}-principal", principal, *operations, resource, *name, *pattern]


async def create_acls(cluster: Cluster, principal: str, acls: Iterable[Acl]) -> None:
    """Add the rules for `principal` to the cluster, and return once a broker applies them; those that exist stay.

    Raises KafkaError, OSError (TimeoutError).
    """
    rules = [(acl, operation) for acl in acls for operation in acl.operations]
    expected = {_codes(acl, operation) for acl, operation in rules}
    async with asyncio.timeout(_APPLIED_S), admin_client(cluster, _TIMEOUT_S) as admin:
        for acl, operation in rules:
            await _create(admin, principal, acl, operation)
        while not await _applied(admin, principal) >= expected:
            await asyncio.sleep(_POLL_S)


async def _create(admin: Any, principal: str, acl: Acl, operation: Operation) -> None:
    request = CreateAclsRequest(
        resource_type=acl.resource,
        resource_name=acl.name,
        resource_pattern_type_filter=_pattern(acl),
        principal=principal,
        host="*",
        operation=operation,
        permission_type=_permission(acl),
    )
    response = await admin._send_to_controller(request)
    [(code, message)] = response.creation_responses
    if code:
        raise for_code(code)(f"{acl}: {message}")


async def _applied(admin: Any, principal: str) -> set[tuple[Any, ...]]:
    """The rules for `principal` that a broker applies, which it learns with a delay; see `_codes`."""
    request = DescribeAclsRequest(_ANY_CODE, None, _ANY_CODE, principal, None, _ANY_CODE, _ANY_CODE)
    response = await admin._send_request(request)
    if response.error_code:
        raise for_code(response.error_code)(response.error_message)
    return {
        (resource, name, pattern, operation, permission)
        for resource, name, pattern, rules in response.resources
        for _, _, operation, permission in rules
    }


def _codes(acl: Acl, operation: Operation) -> tuple[Any, ...]:
    return acl.resource, acl.name, _pattern(acl), operation, _permission(acl)


def _pattern(acl: Acl) -> _Pattern:
    return _Pattern.PREFIXED if acl.prefixed else _Pattern.LITERAL


def _permission(acl: Acl) -> _Permission:
    return _Permission.ALLOW if acl.allowed else _Permission.DENY

"""Topic versions: the id and the partition count of topics, which change when an operator changes them.

A topic that is deleted and created again has the same name and another id. aiokafka asks for metadata without ids.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka import TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.errors import LeaderNotAvailableError, UnknownTopicOrPartitionError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from streams.cluster import Cluster
from streams.kafka.reader import open_reader

#: Kafka's id of no topic.
NO_ID = UUID(int=0)
_ID_BYTES = 16


class TopicVersion(NamedTuple):
    """What an operator can change of a topic."""

    id: UUID
    partitions: int


#: The version of a topic that does not exist.
ABSENT = TopicVersion(NO_ID, 0)


class _Uuid(AbstractType[UUID]):  # type: ignore[misc]  # aiokafka is untyped
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: Any) -> UUID:
        return UUID(bytes=data.read(_ID_BYTES))


_PARTITION: Any = (
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("isr", CompactArray(Int32)),
    ("offline_replicas", CompactArray(Int32)),
    ("tags", TaggedFields),
)
_TOPIC: Any = (
    ("error_code", Int16),
    ("name", CompactString("utf-8")),
    ("topic_id", _Uuid),
    ("is_internal", Boolean),
    ("partitions", CompactArray(*_PARTITION)),
    ("operations", Int32),
    ("tags", TaggedFields),
)
_BROKER: Any = (
    ("node_id", Int32),
    ("host", CompactString("utf-8")),
    ("port", Int32),
    ("rack", CompactString("utf-8")),
    ("tags", TaggedFields),
)


class _Response(Response):  # type: ignore[misc]  # likewise
    """Version 10. Source: Kafka's protocol guide, Metadata API."""

    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(*_BROKER)),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        ("topics", CompactArray(*_TOPIC)),
        ("operations", Int32),
        ("tags", TaggedFields),
    )


class _RequestV10(RequestStruct):  # type: ignore[misc]  # likewise
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _Response
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_operations", Boolean),
        ("include_topic_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataWithIds(Request[_RequestV10]):  # type: ignore[misc]  # likewise
    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics: list[tuple[UUID, str, dict[int, bytes]]] = [(NO_ID, name, {}) for name in topics]

    def build(self, request_struct_class: type[_RequestV10]) -> _RequestV10:
        return request_struct_class(self._topics, False, False, False, {})


async def topic_versions(client: Any, topics: Sequence[str]) -> dict[str, TopicVersion | None]:
    """The versions of these topics: None for one that does not exist; one whose state is not known now is left out.

    `client`: an aiokafka client that is connected. Raises KafkaError; NotImplementedError for brokers before Kafka 2.8.
    """
    request = _MetadataWithIds(topics)
    # Not behind a long poll of the client: that would take 1.5 s.
    response = await client.send(client.get_random_node(), request, group=ConnectionGroup.COORDINATION)
    versions: dict[str, TopicVersion | None] = {}
    for error_code, name, topic_id, _, partitions, *_ in response.topics:
        if error_code == UnknownTopicOrPartitionError.errno:
            versions[name] = None
        elif not error_code:
            versions[name] = TopicVersion(topic_id, len(partitions))
    return versions


async def ends_of_existing(cluster: Cluster, parts: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """Offsets after the last record, committed or not, of those of these partitions that exist. Raises KafkaError."""
    async with open_reader(cluster, reset="none", isolation="read_uncommitted") as reader:
        versions = await topic_versions(reader._client, sorted({part.topic for part in parts}))
        if any(part.topic not in versions for part in parts):
            raise LeaderNotAvailableError
        existing = [part for part in parts if part.partition < (versions[part.topic] or ABSENT).partitions]
        ends: dict[TopicPartition, int] = await reader.end_offsets(existing) if existing else {}
        return ends

"""What the service's own AsyncAPI document says of a message, and every message that is on a topic."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.cluster import Cluster
from streams.kafka.envelope import Entry, read


def validator(document: dict[str, Any], message: str) -> jsonschema.Draft202012Validator:
    """Checks payloads of a message; fields that are not told are found too."""
    schemas = {
        name: {**schema, "additionalProperties": False} if "properties" in schema else schema
        for name, schema in document["components"]["schemas"].items()
    }
    payload = document["components"]["messages"][message]["payload"]
    return jsonschema.Draft202012Validator({**payload, "components": {"schemas": schemas}})


class Checker:
    """Checks any number of messages against one document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._validators: dict[str, jsonschema.Draft202012Validator] = {}
        #: Messages that were checked.
        self.seen: set[str] = set()

    def check_frame(self, frame: dict[str, Any]) -> None:
        """Raises jsonschema.ValidationError."""
        self._check(frame["type"], frame)

    def check_record(self, record: Any) -> None:
        """All events of a record. Raises jsonschema.ValidationError; AssertionError where one cannot be read."""
        for entry in read(record.value, record.headers):
            assert isinstance(entry, Entry), entry
            self._check(entry.event.type.replace(".", "_").replace("-", "_"), msgspec.json.decode(entry.event.data))

    def _check(self, message: str, content: Any) -> None:
        if message not in self._validators:
            self._validators[message] = validator(self._document, message)
        self._validators[message].validate(content)
        self.seen.add(message)


async def records(cluster: Cluster, *topics: str) -> list[Any]:
    """All that is on the topics now."""
    consumer = AIOKafkaConsumer(**cluster.client_options(), group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        await consumer._client.force_metadata_update()
        parts = list(_parts(consumer, topics))
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        ends = await consumer.end_offsets(parts)
        found: list[Any] = []
        while left := [part for part in parts if await consumer.position(part) < ends[part]]:
            for some in (await consumer.getmany(*left, timeout_ms=500)).values():
                found += some
        return found
    finally:
        await consumer.stop()


def _parts(consumer: AIOKafkaConsumer, topics: tuple[str, ...]) -> Iterator[TopicPartition]:
    for topic in topics:
        for number in consumer.partitions_for_topic(topic) or ():
            yield TopicPartition(topic, number)

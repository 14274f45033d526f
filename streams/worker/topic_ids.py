"""Topic ids in commits: a committed offset counts only for the topic that it was committed for.

Kafka drops the commits of a deleted topic, but a process that has not noticed the deletion commits offsets of the old
topic to the new one of the same name. The new one would be read from there, and its first records would be lost.
"""

import logging
from collections.abc import Iterable
from typing import Any

from aiokafka.errors import KafkaError

from streams.kafka.topic_versions import topic_versions

log = logging.getLogger(__name__)

#: In front of the rest of a commit's metadata, followed by the id and a space.
_PREFIX = "topic:"


class TopicIds:
    """The ids of the topics that this process reads, as they were when it began to read. Set in the consumer's thread
    while the loop waits.
    """

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._sizes: dict[str, int] = {}

    async def load(self, client: Any, topics: Iterable[str]) -> None:
        """Look them up. Where the brokers have none, or do not respond, commits are not checked."""
        self._ids, self._sizes = {}, {}
        try:
            versions = await topic_versions(client, sorted(topics))
        except (KafkaError, OSError, NotImplementedError) as error:
            log.warning("topic ids are not known", extra={"error": repr(error)})
            return
        known = {name: version for name, version in versions.items() if version is not None}
        self._ids = {name: str(version.id) for name, version in known.items()}
        self._sizes = {name: version.partitions for name, version in known.items()}

    def of_other_size(self, partitions: int) -> frozenset[str]:
        """The topics with another number of partitions."""
        return frozenset(name for name, size in self._sizes.items() if size != partitions)

    def add_to(self, topic: str, metadata: str) -> str:
        """The metadata of a commit with the topic's id."""
        return f"{_PREFIX}{self._ids[topic]} {metadata}" if topic in self._ids else metadata

    def is_of_another(self, topic: str, metadata: str) -> bool:
        """Whether a commit was made for another topic of this name."""
        known = self._ids.get(topic)
        return known is not None and metadata.startswith(_PREFIX) and not metadata.startswith(f"{_PREFIX}{known} ")


def without_topic_id(metadata: str) -> str:
    """The rest of the metadata."""
    return metadata.partition(" ")[2] if metadata.startswith(_PREFIX) else metadata

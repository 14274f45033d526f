"""Commits go on without the partitions of a topic that was deleted.

aiokafka repeats a commit for as long as the broker does not know one of its topics (aiokafka #1095), and a rebalance
waits for its commit. An operator who deleted a topic within a commit interval of its last record kept control from
deciding anything, whatever the topic. Kafka's own client gives such a commit up (KAFKA-16224), too.
"""

from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import UnknownTopicOrPartitionError
from aiokafka.structs import OffsetAndMetadata

_stock = GroupCoordinator._do_commit_offsets


async def _do_commit_offsets(self: Any, assignment: Any, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
    """GroupCoordinator._do_commit_offsets, topic by topic where the broker does not know one of them.

    aiokafka logs that one. If it was only not known yet, its records are read again after a restart, which is harmless.
    """
    try:
        await _stock(self, assignment, offsets)
    except UnknownTopicOrPartitionError:
        topics = {part.topic for part in offsets}
        if len(topics) == 1:
            return
        for topic in sorted(topics):
            own = {part: offset for part, offset in offsets.items() if part.topic == topic}
            await _do_commit_offsets(self, assignment, own)


def install() -> None:
    """For every consumer of this process. Repeating it is harmless."""
    GroupCoordinator._do_commit_offsets = _do_commit_offsets

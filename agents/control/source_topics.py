"""Changes of the topics that control reads: reported, and where it has to start reading again, control restarts."""

import logging
from typing import Any, NoReturn

from streams.kafka.consumer_groups import assigned_partitions, leave
from streams.kafka.topic_versions import TopicVersion
from streams.kafka.topic_watch import TopicWatch
from streams.kafka.topics import control_group, names
from streams.process.exit import EX_HOLE, end_process
from streams.settings import Settings

log = logging.getLogger(__name__)

#: For an operator: Kafka cannot take partitions away.
_ADVICE = (
    "producers must use murmur2(asset id) modulo KINOLOG_PARTITIONS: what lies on the added partitions is not read. "
    "To remove them: stop producers and, once all is processed, kinolog; delete the topic; `kinolog topics apply`"
)


def watch_topics(settings: Settings, client_id: str) -> TopicWatch:
    """The watch of these topics, to be run once partitions are assigned. `client_id` of this process in its group.

    A restart reads a topic that was created again from its beginning, and joins with all partitions of the uploads.
    """
    topics = names(settings)

    async def changed(topic: str, before: TopicVersion | None, after: TopicVersion) -> None:
        about = {"topic": topic, "partitions": after.partitions, "used": settings.partitions}
        if before is not None and before.id != after.id:
            await _restart("topic was created: reading starts at its beginning", about)
        if topic != topics.uploads and after.partitions > settings.partitions:
            log.error("topic has more partitions than are used", extra={**about, "advice": _ADVICE})
        if topic == topics.uploads and (before is not None or not await _is_assigned(topic, after.partitions)):
            await _restart("topic has more partitions: all are read after a restart", about)

    async def _is_assigned(topic: str, partitions: int) -> bool:
        assigned = await assigned_partitions(settings.cluster, control_group(settings), topic)
        return assigned is None or assigned >= set(range(partitions))

    async def _restart(reason: str, about: dict[str, Any]) -> NoReturn:
        # Otherwise it would get its old assignment back.
        await leave(settings.cluster, control_group(settings), client_id)
        end_process(EX_HOLE, reason, **about)

    return TopicWatch(settings.cluster, (topics.uploads, topics.commands, topics.step_events), changed)

"""TopicWatch: notices topics that an operator deletes, creates again, or gives more partitions.

aiokafka refreshes its metadata every five minutes, and a consumer of such a topic reads nothing until then.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from streams.cluster import Cluster
from streams.kafka.reader import open_reader
from streams.kafka.retry import follow_forever
from streams.kafka.topic_versions import ABSENT, TopicVersion, topic_versions

log = logging.getLogger(__name__)

#: Interval between checks: a change must be noticed within 10 s.
_CHECK_S = 3.0

#: Called with the topic, and its version before and now; before is None when it is seen for the first time.
OnChange = Callable[[str, TopicVersion | None, TopicVersion], Awaitable[None]]


class TopicWatch:
    """Compares the topics with their last known version. `on_change` is called once for each change."""

    def __init__(self, cluster: Cluster, topics: Sequence[str], on_change: OnChange) -> None:
        self._cluster, self._topics, self._on_change = cluster, list(topics), on_change
        self._known: dict[str, TopicVersion] = {}
        self._missing: set[str] = set()

    async def run(self) -> None:
        """Check until cancelled; return where the brokers give topics no ids."""
        try:
            await follow_forever("topics", self._connect, self._follow)
        except NotImplementedError:
            log.warning("brokers before Kafka 2.8: deleted topics are not noticed")

    def _connect(self) -> AbstractAsyncContextManager[Any]:
        return open_reader(self._cluster, reset="none")

    async def _follow(self, consumer: Any) -> None:
        while True:
            await self.note(await topic_versions(consumer._client, self._topics))
            await asyncio.sleep(_CHECK_S)

    async def note(self, current: dict[str, TopicVersion | None]) -> None:
        """Compare with the current versions. None: the topic does not exist; not included: not known now."""
        for topic, version in current.items():
            if version is None:
                self._note_missing(topic)
                continue
            before, self._known[topic] = self._known.get(topic), version
            self._missing.discard(topic)
            if before != version:
                await self._on_change(topic, before, version)

    def _note_missing(self, topic: str) -> None:
        """One that is known is deleted at the second check in a row: a broker may not know a new topic yet."""
        if topic not in self._known or (topic in self._missing and self._known[topic] != ABSENT):
            log.error("topic does not exist: `kinolog topics apply` creates it", extra={"topic": topic})
            self._known[topic] = ABSENT
        self._missing.add(topic)

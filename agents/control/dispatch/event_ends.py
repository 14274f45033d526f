"""EventEnds: how far the log of step events reached at a moment, and whether it is applied up to there."""

from collections.abc import Mapping, Set
from typing import Any

from aiokafka import TopicPartition

from agents.control.dispatch.open_jobs import OpenJobs
from streams.kafka.topics import names
from streams.settings import Settings
from streams.worker.continuity import Continuity

#: End offset by partition, where there are records.
Ends = Mapping[TopicPartition, int]


class EventEnds:
    """Partitions of this process are applied when it says so; those of others when their rows do, within a second."""

    def __init__(self, settings: Settings, continuity: Continuity, jobs: OpenJobs, owned: Set[int]) -> None:
        topic = names(settings).step_events
        self.parts = [TopicPartition(topic, number) for number in range(settings.partitions)]
        self._continuity, self._jobs, self._owned = continuity, jobs, owned

    async def now(self, reader: Any) -> Ends:
        """The current ends. `reader`: one that fetches nothing, since a lookup waits behind a fetch."""
        starts, ends = await reader.beginning_offsets(self.parts), await reader.end_offsets(self.parts)
        return {part: end for part, end in ends.items() if end > starts[part]}

    def are_applied(self, ends: Ends) -> bool:
        """Whether all records before `ends` are applied, and the rows that follow are known here."""
        return all(self._applied(part) >= end - 1 for part, end in ends.items())

    def _applied(self, part: TopicPartition) -> int:
        if part.partition in self._owned:
            return self._continuity.claimed(part.topic, part.partition)
        return self._jobs.applied.get((part.topic, part.partition), -1)

"""Fix of faust-streaming 0.15.3: partitions that an operator adds to a topic are not assigned.

Faust assigns topics with different numbers of partitions independently of each other. If `media.commands` had more than
the tables' changelogs, one process would get the commands of a partition and another one its rows. kinolog writes to
the first `KINOLOG_PARTITIONS` only; of `media.uploads`, where events may lie anywhere, all are assigned.
"""

from typing import Any

from faust.assignor.partition_assignor import PartitionAssignor

_stock_perform_assignment = PartitionAssignor._perform_assignment


class _Cluster:
    """Cluster metadata without added partitions."""

    def __init__(self, cluster: Any, most: int, growing: frozenset[str]) -> None:
        self._cluster, self._most, self._growing = cluster, most, growing

    def partitions_for_topic(self, topic: str) -> set[int]:
        numbers: set[int] = self._cluster.partitions_for_topic(topic) or set()
        return numbers if topic in self._growing else {number for number in numbers if number < self._most}


def _perform_assignment(self: Any, cluster: Any, member_metadata: Any) -> Any:
    """PartitionAssignor._perform_assignment, of the partitions that kinolog uses."""
    limited: Any = _Cluster(cluster, self.app.conf.topic_partitions, self.app.growing_topics)
    return _stock_perform_assignment(self, limited, member_metadata)


def install() -> None:
    """Replace the function. Repeating it is harmless."""
    PartitionAssignor._perform_assignment = _perform_assignment  # type: ignore[method-assign]  # the fix itself

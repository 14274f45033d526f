"""Retries a failed metadata request soon, and the search for a group's coordinator while no broker is known.

aiokafka retries after `metadata_max_age_ms`, five minutes. If the leader of a group has to assign partitions in that
time, it knows no topic and assigns nothing: found by a network that was cut for seconds, after which three executors
idled over a growing queue. Once the topics are known, aiokafka rebalances by itself.

A broker that has just started lists no brokers for a moment. A member that joins its group then fails an assertion, and
never joins it: found by a broker that was killed while an executor started.
"""

import asyncio
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import NodeNotReadyError

#: Pause before a retry, seconds.
AGAIN_S = 0.5
_stock = AIOKafkaClient._metadata_update
_stock_lookup = AIOKafkaClient.coordinator_lookup


async def _metadata_update(self: Any, cluster: Any, topics: Any) -> bool:
    """AIOKafkaClient._metadata_update, retried after a failure."""
    updated = bool(await _stock(self, cluster, topics))
    if not updated and cluster is self.cluster:
        asyncio.get_running_loop().call_later(AGAIN_S, self.force_metadata_update)
    return updated


async def _coordinator_lookup(self: Any, coordinator_type: Any, coordinator_key: str) -> Any:
    """AIOKafkaClient.coordinator_lookup. Raises an error that is retried while no broker is known."""
    if self.get_random_node() is None:
        raise NodeNotReadyError("no broker is known yet")
    return await _stock_lookup(self, coordinator_type, coordinator_key)


def install() -> None:
    """For every client of this process. Repeating it is harmless."""
    AIOKafkaClient._metadata_update = _metadata_update
    AIOKafkaClient.coordinator_lookup = _coordinator_lookup

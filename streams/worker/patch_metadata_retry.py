"""Retries a failed metadata request soon.

aiokafka retries after `metadata_max_age_ms`, five minutes. If the leader of a group has to assign partitions in that
time, it knows no topic and assigns nothing: found by a network that was cut for seconds, after which three executors
idled over a growing queue. Once the topics are known, aiokafka rebalances by itself.
"""

import asyncio
from typing import Any

from aiokafka.client import AIOKafkaClient

#: Pause before a retry, seconds.
AGAIN_S = 0.5
_stock = AIOKafkaClient._metadata_update


async def _metadata_update(self: Any, cluster: Any, topics: Any) -> bool:
    """AIOKafkaClient._metadata_update, retried after a failure."""
    updated = bool(await _stock(self, cluster, topics))
    if not updated and cluster is self.cluster:
        asyncio.get_running_loop().call_later(AGAIN_S, self.force_metadata_update)
    return updated


def install() -> None:
    """For every client of this process. Repeating it is harmless."""
    AIOKafkaClient._metadata_update = _metadata_update

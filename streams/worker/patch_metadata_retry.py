"""A look at the cluster that failed is repeated soon.

aiokafka looks again after `metadata_max_age_ms`, five minutes. When the leader of a group has to share out partitions
in that time, it knows of no topic and gives nobody anything: found by a network that was cut for seconds, after which
three executors idled over a growing queue. Once the topics are known, aiokafka shares out again by itself.
"""

import asyncio
from typing import Any

from aiokafka.client import AIOKafkaClient

#: From a failed look to the next.
AGAIN_S = 0.5
_stock = AIOKafkaClient._metadata_update


async def _metadata_update(self: Any, cluster: Any, topics: Any) -> bool:
    """AIOKafkaClient._metadata_update, which comes again when it failed."""
    updated = bool(await _stock(self, cluster, topics))
    if not updated and cluster is self.cluster:
        asyncio.get_running_loop().call_later(AGAIN_S, self.force_metadata_update)
    return updated


def install() -> None:
    """For every client of this process. Repeating it is harmless."""
    AIOKafkaClient._metadata_update = _metadata_update

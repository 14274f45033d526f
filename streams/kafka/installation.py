"""The identity of this installation: what tells it from others with the same store."""

from processors.storage.owner_mark import Installation
from streams.kafka.admin_client import admin_client
from streams.settings import Settings

_TIMEOUT_S = 10.0


async def this_installation(settings: Settings) -> Installation:
    """Its cluster and topics, from the cluster. Raises KafkaError, OSError."""
    async with admin_client(settings.cluster, _TIMEOUT_S) as admin:
        cluster_id = str((await admin.describe_cluster())["cluster_id"])
    return Installation(cluster_id=cluster_id, topic_prefix=settings.topic_prefix)

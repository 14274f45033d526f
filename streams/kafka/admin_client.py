"""The admin client of a cluster, as every caller opens it."""

from contextlib import AbstractAsyncContextManager

from aiokafka.admin import AIOKafkaAdminClient

from streams.cluster import Cluster
from streams.kafka import patch_connection
from streams.kafka.reader import started


def admin_client(cluster: Cluster, timeout_s: float) -> AbstractAsyncContextManager[AIOKafkaAdminClient]:
    """A connected admin client, closed at the end; `timeout_s`: of each request. Raises KafkaError, OSError."""
    patch_connection.install()
    admin = AIOKafkaAdminClient(**cluster.client_options(), request_timeout_ms=int(timeout_s * 1000))
    return started(admin, admin.close)

"""The health check of a container: `python -m streams.health control | executor [LANE] | web`; exit code 0 or 1.

Control and executors have no HTTP interface: they are healthy while they are members of their consumer group.
"""

import asyncio
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence

from aiokafka.errors import KafkaError

from streams.cluster import Cluster
from streams.kafka.admin_client import admin_client
from streams.kafka.consumer_groups import executor_group
from streams.kafka.topics import control_group
from streams.settings import Settings, load

_TIMEOUT_S = 10.0


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 if the process is healthy, 1 if not, 2 for an unknown name."""
    settings = load()
    match arguments:
        case ["web"]:
            healthy = web_is_ready(settings)
        case ["control"]:
            healthy = asyncio.run(has_member(settings.cluster, control_group(settings)))
        case ["executor", *lane]:
            healthy = asyncio.run(has_member(settings.cluster, executor_group(settings, (lane or ["default"])[0])))
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    return 0 if healthy else 1


def web_is_ready(settings: Settings) -> bool:
    """Whether this machine's web process is ready."""
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({})
    )  # without a proxy: its loopback is another machine
    try:
        with direct.open(f"http://127.0.0.1:{settings.web.port}/readyz", timeout=_TIMEOUT_S):
            return True
    except (urllib.error.URLError, OSError):
        return False


async def has_member(cluster: Cluster, group: str) -> bool:
    """Whether a consumer on this machine is a member of `group`."""
    try:
        async with admin_client(cluster, _TIMEOUT_S) as admin:
            [response] = await admin.describe_consumer_groups([group])
    except (KafkaError, OSError):
        return False
    hosts = {member[2].lstrip("/") for described in response.groups for member in described[5]}
    return own_address(cluster.bootstrap) in hosts


def own_address(bootstrap: str) -> str:
    """The IP address from which this machine connects to the first broker of `bootstrap`."""
    host, _, port = bootstrap.split(",", maxsplit=1)[0].rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, int(port)))  # sends nothing: it only looks up the route
        address: str = probe.getsockname()[0]
        return address


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

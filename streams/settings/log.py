"""Settings of the log, of leases, of dispatch and of the watchdog."""

from typing import Annotated, Literal

import msgspec

from streams.cluster import KafkaSecurity
from streams.settings.section import Section

Anonymous = Literal["uploads", "all", "none"]


class Kafka(Section, frozen=True, kw_only=True):
    """Kafka, the log."""

    #: Bootstrap servers of an external cluster, "host:port[,…]"; unset: `kinolog up` starts an embedded broker.
    bootstrap: str | None = None
    #: Port of the embedded broker; 0: any free port.
    port: int = 9092
    #: Rights of clients of the embedded broker without a credential, that is of every process on this machine: publish
    #: uploads and read events ("uploads"), everything ("all"), none ("none"). docs/producers.md says how to connect.
    anonymous: Anonymous = "uploads"
    #: Bootstrap servers that /asyncapi.json names, if clients reach the log at other addresses than kinolog does.
    public_bootstrap: str | None = None
    #: Folder of an existing Kafka installation (with libs/), used in place of the downloaded jars.
    home: str | None = None
    #: Replication factor of the topics that `topics apply` creates.
    replication_factor: int = 1
    #: When the broker syncs records of topics with one replica to its disk. 0: commands, upload events and tokens
    #: before it acknowledges them, rows, facts and audit within a second; N: all of these every N ms, so that a power
    #: cut loses acknowledged commands of that time; -1: when the operating system does.
    flush_ms: Annotated[int, msgspec.Meta(ge=-1)] = 0
    #: Retention of `media.events`, seconds; -1: for ever. Facts have owners, file names, public URLs and passthrough,
    #: also of deleted assets. Timelines and counts of the past end there.
    events_retention_s: int = 365 * 86_400
    #: Retention of `media.audit`, seconds; -1: for ever. It has owners, ids and IP addresses.
    audit_retention_s: int = 365 * 86_400
    #: Session timeout of consumer groups, seconds: after that without a heartbeat a member loses its partitions.
    session_timeout_s: float = 6.0
    security: KafkaSecurity = KafkaSecurity()


class LeaseTimes(Section, frozen=True, kw_only=True):
    """Detection of dead executors."""

    #: Lease time, seconds: after that without a heartbeat an attempt is given to another executor.
    ttl_s: float = 45.0
    #: Heartbeat interval, seconds.
    heartbeat_s: float = 10.0


class Dispatch(Section, frozen=True, kw_only=True):
    """Order and limits of the steps that wait for an executor, see docs/dispatch.md."""

    #: Shares of owners relative to each other, as JSON, e.g. {"news": 4}; 1 for those that are not named.
    weights: dict[str, float] = {}
    #: Maximum attempts of one owner at a time, over all steps and executors; unset: unlimited.
    owner_cap: int | None = None
    #: The same for single owners, as JSON, e.g. {"trial": 1}.
    owner_caps: dict[str, int] = {}


class Watchdog(Section, frozen=True, kw_only=True):
    """Hang detection: a process that makes no progress for this long exits, to be restarted."""

    #: Maximum time that the event loop may be blocked, seconds.
    loop_s: float = 60.0
    #: Maximum duration of a rebalance and of joining the group at the start, seconds.
    rebalance_s: float = 120.0
    #: Maximum duration of an executor's start, from the choice of its sandbox until it is ready, seconds.
    start_s: float = 120.0
    #: Maximum time without a recovered row during table recovery, seconds.
    recovery_s: float = 120.0
    #: Maximum time without a processed record or a committed offset while there are any, seconds.
    lag_s: float = 300.0

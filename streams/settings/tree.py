"""The tree of all settings."""

import re
from pathlib import Path
from typing import Literal

import msgspec

from processors.fetch.limits import FetchLimits
from processors.tools.limits import Limits
from streams.cluster import Cluster
from streams.settings.interface import Auth, Compat, Web
from streams.settings.log import Dispatch, Kafka, LeaseTimes, Watchdog
from streams.settings.media import Cache, Redis, Retention, Store
from streams.settings.section import PREFIX, Section
from streams.settings.work import Embed, Executor, Transcribe

_TOPIC_PREFIX = "media."
#: Source: Kafka, Topic.LEGAL_CHARS and MAX_NAME_LENGTH (249), less the longest name that follows a prefix.
_LEGAL_PREFIX = re.compile(r"[a-zA-Z0-9._-]{0,190}")


class Settings(Section, frozen=True, kw_only=True):
    """All settings."""

    #: Data directory of this machine: broker, store, read models, locks, scratch files.
    data_dir: str = "./kinolog-data"
    #: Partitions of each topic that is keyed by job. Cannot be changed once the topics exist.
    partitions: int = 8
    #: Partitions of the topic of step requests; several executors may share one. Cannot be changed once it exists.
    request_partitions: int = 64
    #: Prefix of all topic names. Installations that share a cluster need different ones.
    topic_prefix: str = _TOPIC_PREFIX
    #: Prefix of consumer groups, of the two changelogs and, with a colon, of keys in Redis; unset: "kinolog-", with
    #: another topic prefix than "media." both.
    group_prefix: str | None = None
    #: Folder of pipeline files; unset: those included in kinolog.
    pipelines_dir: str | None = None
    #: Folder of transcode profiles; unset: those included in kinolog.
    profiles_dir: str | None = None
    #: Default pipeline of uploads.
    default_pipeline: str = "standard"
    #: "text" for people, "json" for machines.
    log_format: Literal["text", "json"] = "text"
    #: Minimum level of log lines.
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    kafka: Kafka = Kafka()
    web: Web = Web()
    auth: Auth = Auth()
    lease: LeaseTimes = LeaseTimes()
    dispatch: Dispatch = Dispatch()
    watchdog: Watchdog = Watchdog()
    compat: Compat = Compat()
    retention: Retention = Retention()
    store: Store = Store()
    download: FetchLimits = FetchLimits()
    redis: Redis = Redis()
    cache: Cache = Cache()
    executor: Executor = Executor()
    limits: Limits = Limits()
    transcribe: Transcribe = Transcribe()
    embed: Embed = Embed()

    def __post_init__(self) -> None:
        for name in ("topic_prefix", "group_prefix"):
            if not _LEGAL_PREFIX.fullmatch(getattr(self, name) or ""):
                reason = "only letters, digits, '.', '_' and '-' are allowed, 190 at most"
                raise ValueError(f"{PREFIX}{name.upper()}: {reason}")

    @property
    def own_prefix(self) -> str:
        """Prefix of what this installation names on servers that others may share, besides topics."""
        if self.group_prefix is not None:
            return self.group_prefix
        return "kinolog-" if self.topic_prefix == _TOPIC_PREFIX else f"{self.topic_prefix}kinolog-"

    @property
    def redis_prefix(self) -> str:
        """Prefix of this installation's keys in Redis."""
        return f"{self.own_prefix.removesuffix('-')}:"

    @property
    def data_path(self) -> Path:
        """`data_dir`, absolute."""
        return Path(self.data_dir).resolve()

    @property
    def store_url(self) -> str:
        """`store.url`, or the folder below the data directory."""
        return self.store.url or (self.data_path / "store").as_uri()

    @property
    def bootstrap(self) -> str:
        """Bootstrap servers of the log."""
        return self.kafka.bootstrap or f"127.0.0.1:{self.kafka.port}"

    @property
    def cluster(self) -> Cluster:
        """The cluster of the log."""
        return Cluster(self.bootstrap, self.kafka.security)

    def with_cluster(self, cluster: Cluster) -> "Settings":
        """These settings with another cluster of the log."""
        kafka = msgspec.structs.replace(self.kafka, bootstrap=cluster.bootstrap, security=cluster.security)
        return msgspec.structs.replace(self, kafka=kafka)

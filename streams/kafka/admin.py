"""Creates and configures the topics as declared in `streams.kafka.topics`: `kinolog topics apply`. Idempotent."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    BrokerNotAvailableError,
    InvalidReplicationFactorError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    TopicAlreadyExistsError,
    for_code,
)

from streams.cluster import Cluster
from streams.kafka import patch_connection
from streams.kafka.admin_client import admin_client
from streams.kafka.topics import Topic, backed_up, names, required_topics
from streams.settings import Settings

#: DescribeConfigs: set on the topic itself. Source: Kafka protocol guide, config_source DYNAMIC_TOPIC_CONFIG.
_SET_ON_TOPIC = 1
#: Of each request, seconds.
_TIMEOUT_S = 15.0
#: Temporary errors that aiokafka does not count as retriable.
_TEMPORARY = (BrokerNotAvailableError, KafkaTimeoutError)


class TopicsError(Exception):
    """The topics cannot be applied. The message says what to do; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        #: Exit code of a command: 3 unreachable, 2 configuration.
        self.exit_code = 3 if code == "unreachable" else 2


@dataclass(frozen=True)
class TopicsReport:
    """The differences between the declared topics and the cluster."""

    #: Missing topics, which were created.
    created: list[str] = field(default_factory=list)
    #: Settings that were changed, one sentence each.
    altered: list[str] = field(default_factory=list)
    #: Settings that differ and were not changed, because that would delete records, one sentence each.
    differing: list[str] = field(default_factory=list)
    #: Topics with fewer replicas than configured, one sentence each: an operator must add them.
    too_few_replicas: list[str] = field(default_factory=list)


class ExistingTopic(NamedTuple):
    """The state of a topic on the cluster."""

    partitions: int
    #: The lowest number of replicas of any partition.
    replicas: int


class TopicState(NamedTuple):
    """A topic that kinolog uses, as it is on the cluster."""

    name: str
    #: None: the topic is missing.
    partitions: int | None
    #: Of its partition that has the fewest.
    replicas: int | None
    #: -1: unlimited; None: compacted.
    retention_s: float | None


async def apply_topics(settings: Settings, within_s: float = 30.0) -> TopicsReport:
    """Create missing topics and align the others on the cluster at `settings.bootstrap`; waits for a starting cluster.

    Raises TopicsError: unreachable, partitions-differ, too-few-brokers, refused.
    """
    deadline = time.monotonic() + within_s
    report = TopicsReport()
    while True:
        try:
            async with admin_client(settings.cluster, _TIMEOUT_S) as admin:
                await _apply(admin, settings, report)
                return report
        except (KafkaError, OSError, TimeoutError) as error:
            _raise_if_final(error, settings.bootstrap, late=time.monotonic() > deadline)
            await asyncio.sleep(0.2)


async def compare_topics(settings: Settings, cluster: Cluster, within_s: float) -> TopicsReport:
    """The changes that `apply_topics` would make on `cluster`. Raises TopicsError."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            async with admin_client(cluster, _TIMEOUT_S) as admin:
                return await _compare(admin, settings)
        except (KafkaError, OSError, TimeoutError) as error:
            _raise_if_final(error, cluster.bootstrap, late=time.monotonic() > deadline)
            await asyncio.sleep(0.2)


async def topic_states(settings: Settings) -> list[TopicState]:
    """Every topic that kinolog uses, by name. Raises TopicsError (unreachable, refused)."""
    topics = sorted(required_topics(settings), key=lambda topic: topic.name)
    try:
        async with admin_client(settings.cluster, _TIMEOUT_S) as admin:
            current = await _topics(admin)
            existing = [topic.name for topic in topics if topic.name in current]
            configs = await _configs(admin, existing) if existing else {}
    except (KafkaError, OSError, TimeoutError) as error:
        _raise_if_final(error, settings.bootstrap, late=True)
        raise
    effective = {name: config.effective for name, config in configs.items()}
    return [_state(topic.name, current.get(topic.name), effective.get(topic.name, topic.config)) for topic in topics]


def _state(name: str, current: ExistingTopic | None, config: Mapping[str, str]) -> TopicState:
    retention_s = None if config.get("cleanup.policy") == "compact" else float(config["retention.ms"]) / 1000
    retention_s = -1 if retention_s is not None and retention_s < 0 else retention_s
    return TopicState(name, current and current.partitions, current and current.replicas, retention_s)


def _raise_if_final(error: Exception, bootstrap: str, *, late: bool) -> None:
    """Raise TopicsError unless another try may succeed."""
    if isinstance(error, KafkaError) and not error.retriable and not isinstance(error, _TEMPORARY):
        raise TopicsError("refused", f"The Kafka cluster at {bootstrap} refused: {error}") from error
    if late and (refusal := patch_connection.refusal(bootstrap)) is not None:
        raise TopicsError(
            "refused",
            f"The Kafka cluster at {bootstrap} refuses the connection: {refusal}. Check KINOLOG_KAFKA__SECURITY__….",
        ) from error
    if late:
        reason = "" if isinstance(error, KafkaConnectionError) else f": {error}"
        raise TopicsError("unreachable", f"Cannot reach the Kafka cluster at {bootstrap}{reason}") from error


async def _apply(admin: AIOKafkaAdminClient, settings: Settings, report: TopicsReport) -> None:
    topics, current = required_topics(settings), await _topics(admin)
    require_own_changelogs(settings, current)
    missing = [topic for topic in topics if topic.name not in current]
    if missing:
        await _create(admin, missing, settings.kafka.replication_factor, report)
    current = await _topics(admin)
    require_same_partitions(topics, current)
    note_added_partitions(topics, current, report)
    note_few_replicas(topics, current, settings.kafka.replication_factor, report)
    await _align(admin, topics, current, report)


async def _compare(admin: AIOKafkaAdminClient, settings: Settings) -> TopicsReport:
    topics, current = required_topics(settings), await _topics(admin)
    existing = [topic for topic in topics if topic.name in current]
    require_same_partitions(existing, current)
    report = TopicsReport(created=[topic.name for topic in topics if topic.name not in current])
    configs = await _configs(admin, [topic.name for topic in existing]) if existing else {}
    note_few_replicas(existing, current, settings.kafka.replication_factor, report)
    note_added_partitions(existing, current, report)
    for topic in existing:
        to_be_set(topic, configs[topic.name].effective, current[topic.name].replicas, report)
    return report


async def _topics(admin: AIOKafkaAdminClient) -> dict[str, ExistingTopic]:
    """All topics: a request for single ones would create them on a cluster with auto-creation."""
    topics = {}
    for topic in await admin.describe_topics():
        _raise_for(topic["error_code"], topic["topic"])
        for partition in topic["partitions"]:
            _raise_for(partition["error_code"], f"{topic['topic']}-{partition['partition']}")
        replicas = (len(partition["replicas"]) for partition in topic["partitions"])
        topics[topic["topic"]] = ExistingTopic(len(topic["partitions"]), min(replicas, default=0))
    return topics


def _raise_for(code: int, subject: str, message: str | None = None) -> None:
    if code:
        raise for_code(code)(f"{subject}: {message or for_code(code).description}")


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic], replicas: int, report: TopicsReport) -> None:
    requests = [NewTopic(t.name, t.partitions, replicas, topic_configs=t.config_of(replicas)) for t in topics]
    response = await admin.create_topics(requests)
    for name, code, message in response.topic_errors:
        if code == TopicAlreadyExistsError.errno:
            continue  # another process applies them at the same time
        if code == InvalidReplicationFactorError.errno:
            await _explain_replication(admin, replicas)
        _raise_for(code, name, message)
        report.created.append(name)


async def _explain_replication(admin: AIOKafkaAdminClient, replicas: int) -> NoReturn:
    """Raise the reason of a refused replication factor. A cluster without brokers is starting: retried."""
    brokers = len((await admin.describe_cluster())["brokers"])
    if brokers == 0:
        raise BrokerNotAvailableError("no broker is registered at the moment")
    raise TopicsError(
        "too-few-brokers",
        f"Topics with {replicas} replicas need {replicas} brokers, and the cluster has {brokers}. "
        "Add brokers, or lower KINOLOG_KAFKA__REPLICATION_FACTOR.",
    )


def require_same_partitions(topics: Iterable[Topic], current: Mapping[str, ExistingTopic]) -> None:
    """Raise TopicsError (partitions-differ) with all differing topics; a retriable error while a topic is missing."""
    wrong = []
    for topic in topics:
        if topic.name not in current:
            raise for_code(3)(f"{topic.name} is not visible yet")
        count = current[topic.name].partitions
        if count != topic.partitions and not _has_grown(topic, count):
            wrong.append(f"{topic.name} has {count} partitions, not {topic.partitions}")
    if wrong:
        raise TopicsError(
            "partitions-differ",
            f"{'; '.join(wrong)}. Keys would change partitions, so the number cannot be changed later. "
            "Set KINOLOG_PARTITIONS to the existing number, or use a new KINOLOG_TOPIC_PREFIX and KINOLOG_DATA_DIR.",
        )


def require_own_changelogs(settings: Settings, current: Mapping[str, ExistingTopic]) -> None:
    """Raise TopicsError (changelogs-renamed) if control has run with changelogs of another name: all jobs are in them.

    Until 2026-11-27 the topic prefix was not part of their names.
    """
    rows, others = backed_up(settings)
    earlier = names(Settings()).jobs_changelog
    if current.keys() >= {*others, earlier} and current.keys().isdisjoint(rows):
        raise TopicsError(
            "changelogs-renamed",
            f"The topics of {settings.topic_prefix} exist without {rows[0]}: an earlier version wrote the jobs to "
            f"{earlier}. Set KINOLOG_GROUP_PREFIX=kinolog- to go on with them. If they are another "
            "installation's, choose another KINOLOG_TOPIC_PREFIX.",
        )


def note_added_partitions(topics: Iterable[Topic], current: Mapping[str, ExistingTopic], report: TopicsReport) -> None:
    """Report topics with more partitions than kinolog uses."""
    report.differing.extend(
        f"{topic.name}: it has {current[topic.name].partitions} partitions, kinolog uses {topic.partitions}"
        for topic in topics
        if _has_grown(topic, current[topic.name].partitions)
    )


def _has_grown(topic: Topic, count: int) -> bool:
    return topic.may_grow and count > topic.partitions


def note_few_replicas(
    topics: Iterable[Topic], current: Mapping[str, ExistingTopic], replicas: int, report: TopicsReport
) -> None:
    """Report topics with fewer replicas than configured."""
    report.too_few_replicas[:] = [
        f"{topic.name} has {current[topic.name].replicas} of {replicas} replicas"
        for topic in topics
        if current[topic.name].replicas < replicas
    ]


async def _align(
    admin: AIOKafkaAdminClient, topics: Sequence[Topic], current: Mapping[str, ExistingTopic], report: TopicsReport
) -> None:
    configs = await _configs(admin, [topic.name for topic in topics])
    for topic in topics:
        settings = configs[topic.name]
        if safe := to_be_set(topic, settings.effective, current[topic.name].replicas, report):
            await _alter(admin, topic.name, settings.own | safe)


def to_be_set(topic: Topic, effective: Mapping[str, str], replicas: int, report: TopicsReport) -> dict[str, str]:
    """A topic's settings that differ and may be changed; all differences are added to the report."""
    safe = {}
    for name, value in topic.config_of(replicas).items():
        current = effective.get(name)
        if current == value or _is_better(name, current, value):
            continue
        harmful = deletes_records(name, current, value) and not topic.is_endless  # all of them are set at once
        (report.differing if harmful else report.altered).append(
            f"{topic.name}: {name} is {current}, should be {value}"
        )
        if not harmful:
            safe[name] = value
    return safe


def _is_better(name: str, current: str | None, value: str) -> bool:
    """Whether an operator has configured more copies of an acknowledged record, or larger records."""
    return name in ("min.insync.replicas", "max.message.bytes") and int(current or 0) > int(value)


def deletes_records(name: str, current: str | None, value: str) -> bool:
    """Whether setting a topic's `name` to `value` would make the cluster delete records."""
    if name == "cleanup.policy":
        return "delete" in value and "delete" not in (current or "")
    if name == "retention.ms":
        return 0 <= int(value) < (float("inf") if current in (None, "-1") else int(current or 0))
    return False


async def set_on_topics(cluster: Cluster, topics: Sequence[str], changed: Mapping[str, str]) -> None:
    """Set settings on existing topics, besides their own. `apply_topics` undoes it. Raises KafkaError, TopicsError."""
    async with admin_client(cluster, _TIMEOUT_S) as admin:
        for name, config in (await _configs(admin, topics)).items():
            await _alter(admin, name, {**config.own, **changed})


class TopicConfig(NamedTuple):
    """The settings of one topic."""

    effective: dict[str, str]
    #: Settings of the topic itself.
    own: dict[str, str]


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, TopicConfig]:
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    configs = {}
    for code, message, _, name, entries in (resource for response in responses for resource in response.resources):
        _raise_for(code, name, message)
        effective = {entry[0]: entry[1] for entry in entries}
        own = {entry[0]: entry[1] for entry in entries if entry[3] == _SET_ON_TOPIC}
        configs[name] = TopicConfig(effective, own)
    return configs


async def _alter(admin: AIOKafkaAdminClient, name: str, configs: Mapping[str, str]) -> None:
    """Set all of a topic's own settings: the request replaces them, so the operator's must be included."""
    responses: list[Any] = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dict(configs))])
    for response in responses:
        for code, message, *_ in response.resources:
            _raise_for(code, name, message)

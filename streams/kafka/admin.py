"""Makes the topics on the log what `streams.kafka.topics` says they are: `kinolog topics apply`. Harmless to repeat."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
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

from streams.kafka import patch_connection
from streams.kafka.topics import Topic, durability, wanted
from streams.settings import Settings

#: DescribeConfigs: set on the topic itself. Source: Kafka protocol guide, config_source DYNAMIC_TOPIC_CONFIG.
_SET_ON_TOPIC = 1
#: Passing states that aiokafka does not count among its retriable errors.
_PASSING = (BrokerNotAvailableError, KafkaTimeoutError)


class TopicsError(Exception):
    """The topics cannot be made what they should be. The text says what to do; `code` never changes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        #: What a command line ends with: 3 unreachable, 2 configuration.
        self.exit_code = 3 if code == "unreachable" else 2


@dataclass(frozen=True)
class TopicsReport:
    """What was found and done."""

    #: Topics that were missing.
    created: list[str] = field(default_factory=list)
    #: One sentence per setting that was brought in line.
    altered: list[str] = field(default_factory=list)
    #: One sentence per setting that differs and was left alone, because changing it would delete records.
    differing: list[str] = field(default_factory=list)
    #: One sentence per topic with fewer replicas than the settings ask for: an operator reassigns them.
    too_few_replicas: list[str] = field(default_factory=list)


class Found(NamedTuple):
    """A topic as it is on the cluster."""

    partitions: int
    #: Of its partition that has the fewest.
    replicas: int


async def apply_topics(settings: Settings, within_s: float = 30.0) -> TopicsReport:
    """Create what is missing and check the rest, on the cluster at `settings.bootstrap`; a young one is waited for.

    Raises TopicsError: unreachable, partitions-differ, too-few-brokers, refused.
    """
    deadline = time.monotonic() + within_s
    report = TopicsReport()
    while True:
        try:
            async with _admin(settings.bootstrap) as admin:
                await _apply(admin, settings, report)
                return report
        except (KafkaError, OSError, TimeoutError) as error:
            _give_up_on(error, settings.bootstrap, late=time.monotonic() > deadline)
            await asyncio.sleep(0.2)


async def compare_topics(settings: Settings, bootstrap: str, within_s: float) -> TopicsReport:
    """What `apply_topics` would do on the cluster at `bootstrap`; nothing is changed. Raises TopicsError."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            async with _admin(bootstrap) as admin:
                return await _compare(admin, settings)
        except (KafkaError, OSError, TimeoutError) as error:
            _give_up_on(error, bootstrap, late=time.monotonic() > deadline)
            await asyncio.sleep(0.2)


def _give_up_on(error: Exception, bootstrap: str, *, late: bool) -> None:
    """Return when it is worth another try."""
    if isinstance(error, KafkaError) and not error.retriable and not isinstance(error, _PASSING):
        raise TopicsError("refused", f"The Kafka cluster at {bootstrap} refused: {error}") from error
    if late:
        reason = "" if isinstance(error, KafkaConnectionError) else f": {error}"
        raise TopicsError("unreachable", f"Cannot reach the Kafka cluster at {bootstrap}{reason}") from error


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    patch_connection.install()
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=15_000)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _apply(admin: AIOKafkaAdminClient, settings: Settings, report: TopicsReport) -> None:
    topics = wanted(settings)
    missing = [topic for topic in topics if topic.name not in await _found(admin)]
    if missing:
        await _create(admin, missing, settings.kafka.replication_factor, report)
    found = await _found(admin)
    require_same_partitions(topics, found)
    note_few_replicas(topics, found, settings.kafka.replication_factor, report)
    await _align(admin, topics, found, report)


async def _compare(admin: AIOKafkaAdminClient, settings: Settings) -> TopicsReport:
    topics, found = wanted(settings), await _found(admin)
    there = [topic for topic in topics if topic.name in found]
    require_same_partitions(there, found)
    report = TopicsReport(created=[topic.name for topic in topics if topic.name not in found])
    current = await _configs(admin, [topic.name for topic in there]) if there else {}
    note_few_replicas(there, found, settings.kafka.replication_factor, report)
    for topic in there:
        to_be_set(topic, current[topic.name].effective, found[topic.name].replicas, report)
    return report


async def _found(admin: AIOKafkaAdminClient) -> dict[str, Found]:
    """All topics: asking for single ones would create them on a cluster that does so by itself."""
    found = {}
    for topic in await admin.describe_topics():
        _raise_for(topic["error_code"], topic["topic"])
        for partition in topic["partitions"]:
            _raise_for(partition["error_code"], f"{topic['topic']}-{partition['partition']}")
        replicas = (len(partition["replicas"]) for partition in topic["partitions"])
        found[topic["topic"]] = Found(len(topic["partitions"]), min(replicas, default=0))
    return found


def _raise_for(code: int, subject: str, message: str | None = None) -> None:
    if code:
        raise for_code(code)(f"{subject}: {message or for_code(code).description}")


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic], replicas: int, report: TopicsReport) -> None:
    safe = durability(replicas)
    requests = [NewTopic(t.name, t.partitions, replicas, topic_configs=t.config | safe) for t in topics]
    answer = await admin.create_topics(requests)
    for name, code, message in answer.topic_errors:
        if code == TopicAlreadyExistsError.errno:
            continue  # somebody else applies them at the same moment
        if code == InvalidReplicationFactorError.errno:
            await _explain_replication(admin, replicas)
        _raise_for(code, name, message)
        report.created.append(name)


async def _explain_replication(admin: AIOKafkaAdminClient, replicas: int) -> NoReturn:
    """A cluster without any broker is one that starts, or is too busy to hear its own heartbeats: it is asked again."""
    brokers = len((await admin.describe_cluster())["brokers"])
    if brokers == 0:
        raise BrokerNotAvailableError("no broker of the cluster is registered at the moment")
    raise TopicsError(
        "too-few-brokers",
        f"topics with {replicas} replicas need as many brokers, and there are {brokers}: "
        "set KINOLOG_KAFKA__REPLICATION_FACTOR to what the cluster has",
    )


def require_same_partitions(topics: Iterable[Topic], found: Mapping[str, Found]) -> None:
    """Raises TopicsError (partitions-differ) that names every topic at fault; a retriable one while one is missing."""
    wrong = []
    for topic in topics:
        if topic.name not in found:
            raise for_code(3)(f"{topic.name} is not visible yet")
        if found[topic.name].partitions != topic.partitions:
            wrong.append(f"{topic.name} has {found[topic.name].partitions} partitions, not {topic.partitions}")
    if wrong:
        raise TopicsError(
            "partitions-differ",
            f"{'; '.join(wrong)}. A key would change its place, so the number stays for the life of a topic: "
            "set KINOLOG_PARTITIONS to what is there, or start on a new KINOLOG_TOPIC_PREFIX and KINOLOG_DATA_DIR.",
        )


def note_few_replicas(topics: Iterable[Topic], found: Mapping[str, Found], replicas: int, report: TopicsReport) -> None:
    """Report topics that were made when the settings asked for fewer."""
    report.too_few_replicas[:] = [
        f"{topic.name} has {found[topic.name].replicas} replicas, should have {replicas}"
        for topic in topics
        if found[topic.name].replicas < replicas
    ]


async def _align(
    admin: AIOKafkaAdminClient, topics: Sequence[Topic], found: Mapping[str, Found], report: TopicsReport
) -> None:
    current = await _configs(admin, [topic.name for topic in topics])
    for topic in topics:
        settings = current[topic.name]
        if safe := to_be_set(topic, settings.effective, found[topic.name].replicas, report):
            await _alter(admin, topic.name, settings.own | safe)


def to_be_set(topic: Topic, effective: Mapping[str, str], replicas: int, report: TopicsReport) -> dict[str, str]:
    """What of a topic's settings differs and may be changed; both kinds of difference go into the report."""
    safe = {}
    for name, value in (topic.config | durability(replicas)).items():
        current = effective.get(name)
        if current == value or _is_stricter(name, current, value):
            continue
        harmful = deletes_records(name, current, value)
        (report.differing if harmful else report.altered).append(
            f"{topic.name}: {name} is {current}, should be {value}"
        )
        if not harmful:
            safe[name] = value
    return safe


def _is_stricter(name: str, current: str | None, value: str) -> bool:
    """Whether an operator asks for more copies of an acknowledged record than we do."""
    return name == "min.insync.replicas" and int(current or 0) > int(value)


def deletes_records(name: str, current: str | None, value: str) -> bool:
    """Whether setting a topic's `name` to `value` makes the cluster delete records that it keeps now."""
    if name == "cleanup.policy":
        return "delete" in value and "delete" not in (current or "")
    if name == "retention.ms":
        return 0 <= int(value) < (float("inf") if current in (None, "-1") else int(current or 0))
    return False


class TopicConfig(NamedTuple):
    """The settings of one topic."""

    effective: dict[str, str]
    #: Those that are set on the topic itself.
    own: dict[str, str]


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, TopicConfig]:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    found = {}
    for code, message, _, name, entries in (resource for answer in answers for resource in answer.resources):
        _raise_for(code, name, message)
        effective = {entry[0]: entry[1] for entry in entries}
        own = {entry[0]: entry[1] for entry in entries if entry[3] == _SET_ON_TOPIC}
        found[name] = TopicConfig(effective, own)
    return found


async def _alter(admin: AIOKafkaAdminClient, name: str, configs: Mapping[str, str]) -> None:
    """Set all of a topic's own settings: the request replaces them, so those of the operator must be among them."""
    answers: list[Any] = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dict(configs))])
    for answer in answers:
        for code, message, *_ in answer.resources:
            _raise_for(code, name, message)

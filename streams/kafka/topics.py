"""The topics: names, partition counts and retention."""

from typing import NamedTuple

from streams.settings import Settings

_DAY_S = 86_400
#: Longest validity of the token of a scheduler's call.
SIGNED_CALL_S = 3600
#: Interval of rows and facts, which control writes again from the commands, and of the audit.
_FLUSH_MS = 500
#: Kafka's default.
_NEVER = str(2**63 - 1)
#: Longest life of a full source URL: that of an upload event.
_SOURCE_URL_S = 30 * _DAY_S


class Topic(NamedTuple):
    """The declaration of a topic."""

    name: str
    partitions: int
    #: Topic settings by Kafka's names.
    config: dict[str, str]
    #: Whether kinolog goes on when an operator has added partitions: it uses the first ones, of the uploads all.
    may_grow: bool = True
    #: Further ones while it has one replica.
    alone: dict[str, str] = {}

    @property
    def is_endless(self) -> bool:
        """Whether no record is ever deleted."""
        return (self.config.get("retention.ms"), self.config.get("retention.bytes")) == ("-1", "-1")

    def config_of(self, replicas: int) -> dict[str, str]:
        """Settings of the topic with this many replicas."""
        return self.config | durability(replicas) | (self.alone if replicas == 1 else {})


class Names(NamedTuple):
    """All topic names."""

    uploads: str
    commands: str
    step_events: str
    progress: str
    events: str
    control: str
    removals: str
    dead_letters: str
    source_urls: str
    tokens: str
    calls: str
    audit: str
    jobs_changelog: str
    assets_changelog: str
    step_requests: str
    executors: str


def control_group(settings: Settings) -> str:
    """Name of the consumer group of control, after which Faust names its changelogs."""
    return f"{settings.own_prefix}control"


def names(settings: Settings) -> Names:
    """Every topic name."""
    prefix, group = settings.topic_prefix, control_group(settings)
    return Names(
        uploads=prefix + "uploads",
        commands=prefix + "commands",
        step_events=prefix + "step-events",
        progress=prefix + "progress",
        events=prefix + "events",
        control=prefix + "control",
        removals=prefix + "removals",
        dead_letters=prefix + "dead-letters",
        source_urls=prefix + "source-urls",
        tokens=prefix + "tokens",
        calls=prefix + "calls",
        audit=prefix + "audit",
        jobs_changelog=f"{group}-jobs-changelog",
        assets_changelog=f"{group}-assets-changelog",
        step_requests=prefix + "step-requests",
        executors=prefix + "executors",
    )


def required_topics(settings: Settings) -> list[Topic]:
    """All topics that must exist."""
    n, count = names(settings), settings.partitions
    kept = {
        n.uploads: 30 * _DAY_S,
        n.commands: 7 * _DAY_S,
        n.step_events: 7 * _DAY_S,
        n.progress: 3600,
        n.events: settings.kafka.events_retention_s,
        n.removals: 7 * _DAY_S,
        n.dead_letters: 30 * _DAY_S,
    }
    topics = [Topic(name, count, _retention(seconds)) for name, seconds in kept.items()]
    topics.append(Topic(n.source_urls, count, _COMPACTED | _ENDING))
    topics.append(Topic(n.control, 1, _retention(_DAY_S)))
    topics.append(Topic(n.step_requests, settings.request_partitions, _retention(_DAY_S)))
    topics.append(Topic(n.executors, 1, _retention(_DAY_S)))
    topics.append(Topic(n.tokens, 1, _ENDLESS))
    topics.append(Topic(n.calls, 1, _retention(2 * SIGNED_CALL_S)))
    topics.append(Topic(n.audit, 1, _retention(settings.kafka.audit_retention_s)))
    # Their number of partitions tells added ones from another KINOLOG_PARTITIONS, with which keys would move.
    changelogs = (n.jobs_changelog, n.assets_changelog)
    topics += [Topic(name, count, _COMPACTED, may_grow=False) for name in changelogs]
    return [topic._replace(alone=_flushing(topic.name, n, settings.kafka.flush_ms)) for topic in topics]


def backed_up(settings: Settings) -> tuple[list[str], list[str]]:
    """Topics of a backup: those of rows, and those of everything else that is kept."""
    n = names(settings)
    kept = [n.source_urls, n.commands, n.uploads, n.step_events, n.events, n.dead_letters, n.tokens, n.calls, n.audit]
    return [n.jobs_changelog, n.assets_changelog], kept


def _flushing(topic: str, n: Names, flush_ms: int) -> dict[str, str]:
    """When the only replica of a topic syncs its records, see KINOLOG_KAFKA__FLUSH_MS.

    With more replicas an acknowledged record is on another machine. Source: Kafka documentation, flush.messages.
    """
    every_record = flush_ms == 0 and topic in (n.uploads, n.commands, n.tokens, n.calls, n.source_urls)
    is_repeated = topic in (n.step_events, n.progress, n.control, n.step_requests, n.executors)
    interval_ms = "" if flush_ms < 0 or every_record or is_repeated else str(flush_ms or _FLUSH_MS)
    return {"flush.messages": "1" if every_record else _NEVER, "flush.ms": interval_ms or _NEVER}


def durability(replicas: int) -> dict[str, str]:
    """Settings of a topic with this many replicas: an acknowledged record is on at least two, if there are two.

    With Kafka's defaults a single remaining replica acknowledges alone, and records are lost with it.
    Source: Kafka documentation, min.insync.replicas.
    """
    return {"min.insync.replicas": str(max(replicas - 1, 1)), "unclean.leader.election.enable": "false"}


#: Records get the broker's time: wrong clocks of producers cannot extend retention or cause refusals. Where a cluster's
#: limit of bytes is lower than Kafka's it would refuse whole batches of small records.
#: Source: Kafka, message.max.bytes (1 MiB, which is also aiokafka's max_request_size, and the header of a batch).
_COMMON = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "1048588"}


def _retention(seconds: int) -> dict[str, str]:
    return _COMMON | {"cleanup.policy": "delete", "retention.ms": str(seconds if seconds < 0 else seconds * 1000)}


#: Every record stays. In a compacted topic a forged record would remove the genuine one, a revocation for instance.
_ENDLESS = _retention(-1) | {"retention.bytes": "-1"}
#: Recovery reads these topics from the beginning, so they are compacted within 15 minutes.
_COMPACTED = _COMMON | {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.05",
    "segment.ms": "600000",
    "max.compaction.lag.ms": "900000",
}
#: What is neither replaced nor deleted ends, too.
_ENDING = {"cleanup.policy": "compact,delete", "retention.ms": str(_SOURCE_URL_S * 1000)}

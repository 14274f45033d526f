"""Topics keep what was acknowledged: settings that follow from a topic's replicas."""

import pytest

from streams.kafka.admin import ExistingTopic, TopicsReport, note_few_replicas, to_be_set
from streams.kafka.topics import Topic, durability, names, required_topics
from streams.settings import Settings, load

EVENTS = Topic("media.events", 8, {"cleanup.policy": "delete"})
DEFAULTS = {"cleanup.policy": "delete", "min.insync.replicas": "1", "unclean.leader.election.enable": "true"}


@pytest.mark.parametrize("replicas, least", [(1, "1"), (2, "1"), (3, "2"), (5, "4")])
def test_an_acknowledged_record_is_on_all_replicas_but_one(replicas: int, least: str) -> None:
    assert durability(replicas)["min.insync.replicas"] == least


def test_an_existing_topic_is_judged_by_the_replicas_that_it_has() -> None:
    report = TopicsReport()
    safe = {"unclean.leader.election.enable": "false"}
    assert to_be_set(EVENTS, DEFAULTS, 3, report) == safe | {"min.insync.replicas": "2"}
    assert report.altered == [
        "media.events: min.insync.replicas is 1, should be 2",
        "media.events: unclean.leader.election.enable is true, should be false",
    ]
    assert to_be_set(EVENTS, DEFAULTS, 1, TopicsReport()) == safe


def test_a_compacted_topic_becomes_endless_without_an_operator_and_no_other_becomes_deleting() -> None:
    compacted = {"cleanup.policy": "compact", "retention.ms": "604800000", "retention.bytes": "-1"}
    topics = {topic.name: topic for topic in required_topics(Settings())}
    endless = to_be_set(topics[names(Settings()).tokens], compacted, 1, TopicsReport())
    assert (endless["cleanup.policy"], endless["retention.ms"]) == ("delete", "-1")
    assert "cleanup.policy" not in to_be_set(topics[names(Settings()).audit], compacted, 1, TopicsReport())


def test_an_operator_who_asks_for_more_copies_keeps_them() -> None:
    stricter = DEFAULTS | {"min.insync.replicas": "3", "unclean.leader.election.enable": "false"}
    report = TopicsReport()
    assert to_be_set(EVENTS, stricter, 3, report) == {} and report == TopicsReport()


def test_topics_with_fewer_replicas_than_the_settings_ask_for_are_named() -> None:
    report = TopicsReport()
    note_few_replicas([EVENTS], {"media.events": ExistingTopic(8, 1)}, 3, report)
    assert report.too_few_replicas == ["media.events has 1 of 3 replicas"]
    note_few_replicas([EVENTS], {"media.events": ExistingTopic(8, 3)}, 3, report)
    assert report.too_few_replicas == []


def test_no_topic_sets_by_itself_what_follows_from_its_replicas() -> None:
    assert all(topic.config.keys().isdisjoint(durability(3)) for topic in required_topics(Settings()))


def _flushed(flush_ms: int, replicas: int = 1) -> dict[str, tuple[str | None, str | None]]:
    settings = load({"KINOLOG_KAFKA__FLUSH_MS": str(flush_ms)})
    configs = {topic.name: topic.config_of(replicas) for topic in required_topics(settings)}
    return {name: (config.get("flush.messages"), config.get("flush.ms")) for name, config in configs.items()}


def test_the_only_replica_syncs_what_clients_rely_on_before_it_acknowledges_it() -> None:
    n, never = names(Settings()), str(2**63 - 1)
    flushed = _flushed(0)
    assert {flushed[name] for name in (n.commands, n.uploads, n.tokens, n.source_urls)} == {("1", never)}
    assert {flushed[name] for name in (n.jobs_changelog, n.assets_changelog, n.events, n.audit)} == {(never, "500")}
    assert {flushed[name] for name in (n.step_events, n.progress, n.step_requests, n.executors)} == {(never, never)}


def test_an_operator_trades_durability_for_speed() -> None:
    commands, never = names(Settings()).commands, str(2**63 - 1)
    assert _flushed(100)[commands] == (never, "100")
    assert _flushed(-1)[commands] == (never, never)


def test_replicas_need_no_sync_and_an_operators_own_settings_are_kept() -> None:
    assert set(_flushed(0, replicas=3).values()) == {(None, None)}

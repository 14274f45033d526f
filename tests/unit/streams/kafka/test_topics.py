"""Topics keep what was acknowledged: settings that follow from a topic's replicas; and what is named by prefixes."""

import pytest

from streams.kafka.admin import (
    ExistingTopic,
    TopicsError,
    TopicsReport,
    note_few_replicas,
    require_own_changelogs,
    to_be_set,
)
from streams.kafka.consumer_groups import executor_group
from streams.kafka.topics import Topic, control_group, durability, names, required_topics
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


def shared_names(**environ: str) -> set[str]:
    """What an installation calls its own on servers that others may use, too."""
    settings = load({f"KINOLOG_{name}": value for name, value in environ.items()})
    groups = {control_group(settings), executor_group(settings, "default"), settings.redis_prefix}
    return {topic.name for topic in required_topics(settings)} | groups


def test_installations_with_different_prefixes_have_no_name_in_common() -> None:
    assert not shared_names() & shared_names(TOPIC_PREFIX="staging.")
    assert not shared_names(TOPIC_PREFIX="a.") & shared_names(TOPIC_PREFIX="b.")
    assert all(name.startswith("staging.") for name in shared_names(TOPIC_PREFIX="staging."))


def test_the_names_of_an_installation_without_prefixes_stay() -> None:
    expected = {"kinolog-control", "kinolog-exec-default", "kinolog:", "kinolog-control-jobs-changelog"}
    assert expected <= shared_names()


def test_groups_have_the_prefix_that_a_cluster_asks_for() -> None:
    own = shared_names(GROUP_PREFIX="team-a.", TOPIC_PREFIX="team-a.media.")
    assert all(name.startswith("team-a.") for name in own)
    assert {"team-a.control", "team-a.exec-default", "team-a.control-assets-changelog"} <= own


def existing(settings: Settings) -> dict[str, ExistingTopic]:
    return {topic.name: ExistingTopic(topic.partitions, 1) for topic in required_topics(settings)}


def test_an_installation_does_not_begin_without_the_jobs_that_an_earlier_version_has_under_another_name() -> None:
    before = existing(load({"KINOLOG_TOPIC_PREFIX": "a.", "KINOLOG_GROUP_PREFIX": "kinolog-"}))
    with pytest.raises(TopicsError, match="KINOLOG_GROUP_PREFIX=kinolog-") as caught:
        require_own_changelogs(load({"KINOLOG_TOPIC_PREFIX": "a."}), before)
    assert caught.value.code == "changelogs-renamed"
    require_own_changelogs(load({"KINOLOG_TOPIC_PREFIX": "a.", "KINOLOG_GROUP_PREFIX": "kinolog-"}), before)


def test_a_new_installation_begins_beside_another_also_at_the_second_try() -> None:
    mine, others = load({"KINOLOG_TOPIC_PREFIX": "a."}), existing(load({}))
    require_own_changelogs(mine, others)
    require_own_changelogs(mine, others | {"a.uploads": ExistingTopic(8, 1)})
    require_own_changelogs(mine, others | existing(mine))

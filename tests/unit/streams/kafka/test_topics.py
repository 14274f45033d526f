"""Topics keep what was acknowledged: settings that follow from a topic's replicas."""

import pytest

from streams.kafka.admin import ExistingTopic, TopicsReport, note_few_replicas, to_be_set
from streams.kafka.topics import Topic, durability, required_topics
from streams.settings import Settings

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

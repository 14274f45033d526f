"""An operator's change of a topic is reported once; what is not known now changes nothing."""

from typing import Any
from uuid import UUID

import pytest

from streams.cluster import Cluster
from streams.kafka.topic_versions import ABSENT, TopicVersion
from streams.kafka.topic_watch import TopicWatch

OLD, GROWN, NEW = TopicVersion(UUID(int=1), 4), TopicVersion(UUID(int=1), 7), TopicVersion(UUID(int=2), 4)


Change = tuple[str, TopicVersion | None, TopicVersion]


async def _changes(*checks: dict[str, TopicVersion | None]) -> list[Change]:
    found: list[Change] = []

    async def changed(*change: Any) -> None:
        found.append(change)

    watch = TopicWatch(Cluster("localhost:1"), ["t"], changed)
    for current in checks:
        await watch.note(current)
    return found


@pytest.mark.parametrize(
    "checks, changes",
    [
        ([{"t": OLD}, {"t": OLD}, {}, {"t": OLD}], []),
        ([{"t": OLD}, {"t": NEW}, {"t": NEW}], [("t", OLD, NEW)]),
        ([{"t": OLD}, {"t": None}, {}, {"t": NEW}], [("t", OLD, NEW)]),
        ([{"t": OLD}, {"t": None}, {"t": OLD}], []),  # a broker that did not know it yet
        ([{"t": OLD}, {"t": None}, {"t": None}, {"t": NEW}], [("t", ABSENT, NEW)]),
        ([{"t": OLD}, {"t": GROWN}, {"t": GROWN}], [("t", OLD, GROWN)]),
    ],
)
async def test_a_change_is_reported_once(checks: list[dict[str, TopicVersion | None]], changes: list[Change]) -> None:
    first = next(version for check in checks for version in check.values() if version is not None)
    assert await _changes(*checks) == [("t", None, first), *changes]


async def test_a_topic_that_was_missing_from_the_start_is_reported_when_it_appears() -> None:
    assert await _changes({"t": None}, {"t": OLD}) == [("t", ABSENT, OLD)]


async def test_a_deleted_topic_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    await _changes({"t": OLD}, {"t": None}, {"t": None}, {"t": None})
    assert [record.message for record in caplog.records] == ["topic does not exist: `kinolog topics apply` creates it"]

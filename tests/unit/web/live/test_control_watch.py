"""Readiness reports a control that has stopped, and no short pause."""

from uuid import UUID

from streams.kafka.topic_versions import TopicVersion
from web.live.control_watch import SILENT_S, STUCK_S, UNDISPATCHED_S, ControlState, sources_of

UPLOADS, COMMANDS = ("media.uploads", 1), ("media.commands", 0)


def test_a_control_that_falls_silent_is_noticed_within_ten_seconds() -> None:
    state = ControlState(2, 0.0)
    for second in range(1, 5):
        state.reported([0, 1], float(second))
    assert state.troubles(4.0 + SILENT_S) == []
    [reason] = state.troubles(4.0 + 9.9)
    assert "has not reported for 10 s" in reason
    assert "partition 0, partition 1" in reason
    state.reported([0, 1], 14.0)
    assert state.troubles(14.1) == []


def test_a_restart_of_some_seconds_is_not() -> None:
    state = ControlState(1, 0.0)
    state.reported([0], 100.0)
    state.observe({COMMANDS: 3}, {COMMANDS: 3}, 100.0)
    for second in range(101, 108):  # 100,000 jobs: 7.1 s
        state.observe({COMMANDS: 3}, {COMMANDS: 9}, float(second))
        assert state.troubles(float(second)) == []
    state.reported([0], 108.0)
    state.observe({COMMANDS: 9}, {COMMANDS: 9}, 108.0)
    assert state.troubles(108.0) == []


def test_one_of_two_controls_is_missed_on_its_partitions() -> None:
    state = ControlState(4, 0.0)
    state.reported([0, 1], 10.0)
    [reason] = state.troubles(10.0)
    assert "partition 2, partition 3" in reason


def test_an_idle_system_is_ready_however_long() -> None:
    state = ControlState(1, 0.0)
    for second in range(0, 3600, 2):
        state.reported([0], float(second))
        state.observe({COMMANDS: 7, UPLOADS: 0}, {COMMANDS: 7, UPLOADS: 0}, float(second))
        assert state.troubles(second + 1.9) == []


def test_a_control_that_reports_and_applies_nothing_is_noticed_within_ten_seconds() -> None:
    """One that ends at the same record after each start reports in between."""
    state = ControlState(1, 0.0)
    found: list[str] = []
    for second in range(1, 11):
        state.reported([0], float(second))
        state.observe({COMMANDS: 4, UPLOADS: 17}, {COMMANDS: 4, UPLOADS: 25}, float(second))
        found = state.troubles(float(second))
        assert bool(found) == (second - 1 > STUCK_S)
    assert found == ["control has applied nothing for 9 s on media.uploads/1 at offset 17 (end: 25)"]
    state.observe({COMMANDS: 4, UPLOADS: 18}, {COMMANDS: 4, UPLOADS: 25}, 11.0)
    assert state.troubles(11.0) == []


def test_a_backlog_that_gets_shorter_is_no_trouble() -> None:
    state = ControlState(1, 0.0)
    for second in range(60):
        state.reported([0], float(second))
        state.observe({COMMANDS: second * 10}, {COMMANDS: 100_000}, float(second))
        assert state.troubles(float(second)) == []


def test_many_partitions_make_no_long_sentence() -> None:
    [reason] = ControlState(48, 0.0).troubles(20.0)
    assert "and 44 more" in reason
    assert len(reason) < 200


def test_a_report_of_partitions_that_do_not_exist_here_changes_nothing() -> None:
    state = ControlState(1, 0.0)
    state.reported([0, 7, -1], 5.0)
    assert "partition 7" not in str(state.troubles(60.0))


def test_a_dispatcher_that_does_not_start_is_noticed_and_no_restart_of_control() -> None:
    state = ControlState(2, 0.0)
    state.reported([0], 1.0, dispatching=True)
    state.reported([0], 2.0, dispatching=False)
    state.reported([1], 2.5)
    state.reported([0, 1], 2.0 + UNDISPATCHED_S, dispatching=False)
    assert state.troubles(2.0 + UNDISPATCHED_S) == []
    state.reported([0, 1], 3.0 + UNDISPATCHED_S, dispatching=False)
    [reason] = state.troubles(3.0 + UNDISPATCHED_S)
    assert "dispatcher" in reason
    state.reported([0, 1], 4.0 + UNDISPATCHED_S, dispatching=True)
    assert state.troubles(4.0 + UNDISPATCHED_S) == []


def test_a_topic_that_does_not_exist_is_reported_and_not_observed() -> None:
    state = ControlState(1, 0.0)
    state.reported([0], 1.0)
    state.observe({UPLOADS: 3}, {UPLOADS: 9}, 1.0)
    state.missing = ("media.uploads",)
    state.observe({}, {}, 2.0)
    state.reported([0], 2.0 + STUCK_S)
    assert state.troubles(2.0 + STUCK_S) == ["the topic media.uploads does not exist"]
    state.missing = ()
    assert state.troubles(2.0 + STUCK_S) == []


def test_only_partitions_whose_applied_offsets_are_in_rows_are_observed() -> None:
    of_two, of_three = TopicVersion(UUID(int=1), 2), TopicVersion(UUID(int=2), 3)
    versions = {"media.uploads": of_three, "media.commands": of_three, "media.step-events": of_two}
    observed = [*sources_of({**versions, "gone": None}, "media.uploads", 2)]
    assert observed == [(topic, n) for topic in ("media.commands", "media.step-events") for n in (0, 1)]
    assert [*sources_of({"media.uploads": of_two}, "media.uploads", 2)] == [("media.uploads", 0), ("media.uploads", 1)]

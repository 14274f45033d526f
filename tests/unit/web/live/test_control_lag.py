"""The lag of control is what has waited, not what has come: traffic without a backlog is no lag."""

from web.live.control_lag import ControlLag

COMMANDS, EVENTS = ("media.commands", 0), ("media.step-events", 1)


def test_an_idle_system_is_not_behind() -> None:
    lag = ControlLag()
    for second in range(100):
        lag.observe({COMMANDS: 7}, {COMMANDS: 7}, float(second))
    assert (lag.records, lag.waited_s(100.0)) == (0, 0.0)


def test_steady_traffic_that_is_applied_within_a_second_is_no_lag_of_minutes() -> None:
    lag = ControlLag()
    for second in range(600):
        lag.observe({COMMANDS: 10 * second - 5}, {COMMANDS: 10 * second}, float(second))
    assert (lag.records, lag.waited_s(599.0)) == (5, 0.0)


def test_the_oldest_record_counts_and_every_source() -> None:
    lag = ControlLag()
    lag.observe({COMMANDS: 0, EVENTS: 4}, {COMMANDS: 0, EVENTS: 4}, 0.0)
    lag.observe({COMMANDS: 0, EVENTS: 4}, {COMMANDS: 3, EVENTS: 4}, 10.0)
    lag.observe({COMMANDS: 0, EVENTS: 4}, {COMMANDS: 3, EVENTS: 6}, 20.0)
    assert (lag.records, lag.waited_s(25.0)) == (5, 15.0)
    lag.observe({COMMANDS: 3, EVENTS: 5}, {COMMANDS: 3, EVENTS: 6}, 30.0)
    assert (lag.records, lag.waited_s(30.0)) == (1, 10.0)
    lag.observe({COMMANDS: 3, EVENTS: 6}, {COMMANDS: 3, EVENTS: 6}, 31.0)
    assert (lag.records, lag.waited_s(40.0)) == (0, 0.0)


def test_control_that_stands_for_an_hour_under_traffic_is_an_hour_behind_and_memory_does_not_grow() -> None:
    lag = ControlLag()
    for second in range(3600):
        lag.observe({COMMANDS: 1}, {COMMANDS: 2 + second}, float(second))
    assert lag.waited_s(3600.0) == 3600.0
    assert len(lag._ends[COMMANDS]) <= 600


def test_a_topic_that_is_gone_holds_nobody_up() -> None:
    lag = ControlLag()
    lag.observe({COMMANDS: 0}, {COMMANDS: 3}, 0.0)
    lag.observe({}, {}, 50.0)
    assert (lag.records, lag.waited_s(60.0)) == (0, 0.0)

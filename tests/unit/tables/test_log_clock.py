"""Time by the log: it goes on by itself, jumps with the log, and comes back from a clock that was wrong."""

from tables.log_clock import LogClock


class Stopwatch:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def test_time_is_what_the_newest_record_says_and_goes_on_from_there() -> None:
    watch = Stopwatch()
    log = LogClock(watch)
    assert log.now() == 0.0
    assert log.observe(5_000.0)
    watch.at += 7
    assert log.now() == 5_007.0
    assert not log.observe(5_007.2)
    assert log.now() == 5_007.2


def test_an_old_record_among_new_ones_sets_nothing_back() -> None:
    watch = Stopwatch()
    log = LogClock(watch)
    log.observe(5_000.0)
    for _ in range(100):
        watch.at += 1
        log.observe(4_000.0)
        log.observe(4_000.0 + watch.at)
        assert log.now() == 4_000.0 + watch.at


def test_a_log_that_went_on_unread_is_a_jump() -> None:
    log = LogClock(Stopwatch())
    log.observe(5_000.0)
    assert log.observe(5_900.0)
    assert not log.observe(5_100.0)


def test_a_broker_whose_clock_was_wrong_is_believed_again_when_it_is_right() -> None:
    watch = Stopwatch()
    log = LogClock(watch)
    log.observe(5_000.0 + 3_600)
    for _ in range(70):
        watch.at += 1
        log.observe(4_000.0 + watch.at)
    assert log.now() == 4_000.0 + watch.at

"""Who makes the event loop parse for long waits in proportion, and nobody else does."""

from web.http.read_turns import ReadTurns


def test_what_is_parsed_quickly_never_waits() -> None:
    turns = ReadTurns()
    for _ in range(1_000):
        turns.charge("anna", 0.0005, 10.0)
    assert turns.wait_s("anna", 10.0) == 0.0


def test_a_source_waits_nine_times_as_long_as_it_took_and_others_do_not() -> None:
    turns = ReadTurns()
    turns.charge("anna", 0.004, 10.0)
    assert round(turns.wait_s("anna", 10.0), 6) == 0.036
    assert turns.wait_s("bert", 10.0) == 0.0
    assert turns.wait_s("anna", 10.036) == 0.0


def test_connections_of_a_source_wait_for_one_another() -> None:
    """A share of the event loop, however many they are."""
    turns = ReadTurns()
    now, parsed_s = 0.0, 0.0
    while now < 10.0:
        for _ in range(50):
            if turns.wait_s("anna", now) == 0.0:
                turns.charge("anna", 0.004, now)
                parsed_s += 0.004
        now += 0.001
    assert 0.5 <= parsed_s <= 1.2


def test_sources_that_have_left_leave_little() -> None:
    turns = ReadTurns()
    for number in range(30_000):
        turns.charge(f"source-{number}", 0.002, float(number))
    assert len(turns._from) <= 10_000

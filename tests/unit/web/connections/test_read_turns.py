"""Who makes the event loop parse for long waits in proportion, and nobody else does."""

from web.connections.read_turns import PIECE_BYTES, ReadTurns

#: A tenth of that takes as long as a whole piece may.
_DEAR_S = 0.01


def test_what_is_parsed_quickly_never_waits() -> None:
    turns = ReadTurns()
    for _ in range(1_000):
        turns.charge("anna", 0.0005, 300, 10.0)
    assert turns.wait_s("anna", 10.0) == 0.0
    assert turns.piece_bytes("anna") == PIECE_BYTES


def test_a_source_waits_nine_times_as_long_as_it_took_and_others_do_not() -> None:
    turns = ReadTurns()
    turns.charge("anna", 0.004, PIECE_BYTES, 10.0)
    assert round(turns.wait_s("anna", 10.0), 6) == 0.036
    assert turns.wait_s("bert", 10.0) == 0.0
    assert turns.wait_s("anna", 10.036) == 0.0


def test_dear_sources_share_what_one_has() -> None:
    now, turns, parsed_s = 0.0, ReadTurns(), 0.0
    while now < 10.0:
        for source in "abcdefghi":
            if turns.wait_s(source, now) == 0.0:
                size = turns.piece_bytes(source)
                turns.charge(source, took_s := _DEAR_S * size / PIECE_BYTES, size, now)
                parsed_s += took_s
        now += 0.001
    assert 0.5 <= parsed_s <= 1.2


def test_nobody_waits_for_what_others_owe_longer_than_it_counts_as_dear() -> None:
    turns = ReadTurns()
    for number in range(1_000):
        turns.charge(f"source-{number}", 0.004, PIECE_BYTES, 10.0)
    assert turns.wait_s("source-0", 10.0) == 5.0
    assert turns.wait_s("source-0", 15.0) == 0.0


def test_connections_of_a_source_wait_for_one_another() -> None:
    """A share of the event loop, however many they are."""
    now, turns = 0.0, ReadTurns()
    parsed_s = 0.0
    while now < 10.0:
        for _ in range(50):
            if turns.wait_s("anna", now) == 0.0:
                size = turns.piece_bytes("anna")
                took_s = _DEAR_S * size / PIECE_BYTES
                turns.charge("anna", took_s, size, now)
                parsed_s += took_s
        now += 0.001
    assert 0.5 <= parsed_s <= 1.2


def test_a_dear_source_never_takes_long_at_a_time_again() -> None:
    turns, longest_s = ReadTurns(), 0.0
    turns.charge("anna", _DEAR_S, PIECE_BYTES, 0.0)
    for number in range(100, 6_000):
        now = number / 100
        if turns.wait_s("anna", now) == 0.0:
            size = turns.piece_bytes("anna")
            took_s = _DEAR_S * size / PIECE_BYTES
            longest_s = max(longest_s, took_s)
            turns.charge("anna", took_s, size, now)
    assert longest_s < 0.001


def test_a_source_that_is_dear_no_more_is_as_others_after_some_seconds() -> None:
    turns = ReadTurns()
    turns.charge("anna", 0.004, PIECE_BYTES, 10.0)
    for number in range(100):  # short requests meanwhile
        turns.charge("anna", 0.00005, 300, 10.1 + number / 100)
    assert turns.wait_s("anna", 15.1) == 0.0
    assert turns.piece_bytes("anna") == PIECE_BYTES


def test_sources_that_have_left_leave_little() -> None:
    turns = ReadTurns()
    for number in range(30_000):
        turns.charge(f"source-{number}", 0.002, PIECE_BYTES, float(number))
    for number in range(30_000):
        turns.charge(f"other-{number}", 0.002, PIECE_BYTES, 40_000.0)
    assert len(turns._dear) <= 10_000

"""Frames are sent in slices: a client that does not read holds one of them, not a snapshot."""

from web.live.senders import slices

KIB = 1024


def test_large_frames_are_cut_and_small_ones_are_joined() -> None:
    parts = [b"a" * 10, b"b" * 20, b"c" * (150 * KIB), b"d" * 5]
    found = list(slices(parts))
    assert b"".join(bytes(part) for part in found) == b"".join(parts)
    assert max(len(part) for part in found) <= 64 * KIB
    assert [len(part) for part in found] == [30, 64 * KIB, 64 * KIB, 22 * KIB, 5]


def test_large_frames_are_not_copied() -> None:
    snapshot = bytes(300 * KIB)
    found = list(slices([snapshot]))
    assert all(isinstance(part, memoryview) and part.obj is snapshot for part in found)


def test_many_small_frames_go_out_together() -> None:
    found = list(slices([b"x" * KIB] * 200))
    assert [len(part) for part in found] == [64 * KIB, 64 * KIB, 64 * KIB, 8 * KIB]

"""Joined recordings are noticed without reading them."""

from pathlib import Path

import pytest

from processors.media.ts_clock import clock_jumps, jumps

_HZ = 90_000


@pytest.mark.parametrize(
    "clock_s, jump",
    [
        ([0, 1, 2, 3, 4], False),
        ([0, 1, 2, 0, 1, 2], True),
        ([0, 1, 2, 302, 303], True),
        ([0, 1, 2, 10, 11], False),
        ([95442, 95443, 0.3, 1.3], False),
        ([0, 100, 180, 330, 400], False),
        ([5], False),
        ([], False),
    ],
)
def test_a_clock_that_goes_back_or_far_ahead_jumps_and_one_that_wraps_does_not(
    clock_s: list[float], jump: bool
) -> None:
    assert jumps([round(at_s * _HZ) % 2**33 for at_s in clock_s]) == jump


def _packet(at_s: float | None, pid: int = 256) -> bytes:
    head = bytes([0x47, pid >> 8, pid & 0xFF, 0x30])
    if at_s is None:
        return head + bytes([1, 0]) + bytes(182)
    return head + bytes([7, 0x10]) + (round(at_s * _HZ) << 7).to_bytes(5, "big") + bytes(177)


def _stream(first_s: float, seconds: int) -> bytes:
    return b"".join(_packet(first_s + number / 10 if number % 3 == 0 else None) for number in range(seconds * 10))


@pytest.mark.parametrize("prefix", [b"", b"\0\0\0\0"])
def test_two_recordings_in_one_file_are_noticed(tmp_path: Path, prefix: bytes) -> None:
    one, two = tmp_path / "one.ts", tmp_path / "two.ts"
    for path, content in ((one, _stream(0, 20)), (two, _stream(0, 10) * 2)):
        packets = (content[at : at + 188] for at in range(0, len(content), 188))
        path.write_bytes(b"".join(prefix + packet for packet in packets))
    assert not clock_jumps(one)
    assert clock_jumps(two)


@pytest.mark.parametrize("content", [b"", b"G", b"G" * 100_000, bytes(100_000)])
def test_what_is_no_transport_stream_has_no_jumps(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert not clock_jumps(path)

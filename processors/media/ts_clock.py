"""Finds jumps in the clock of a transport stream from samples, without reading all of it.

Parts of a recording are often joined by `cat`, each with a clock of its own, and recorders restart theirs. Times at
the end then say nothing about the length. Source: ISO/IEC 13818-1, 2.4.3.4 and 2.4.3.5 (program clock reference).
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import BinaryIO, NamedTuple

#: Packets, and those with a time or a check sum at each.
_SIZES = (188, 192, 204)
_SYNC = 0x47
_SAMPLES = 128
#: A clock comes at least every 0.1 s: that is, of 40 Mbit/s, in so many bytes.
_WINDOW_BYTES = 512 * 1024
_CHUNK_BYTES = 64 * 1024
_HZ, _WRAP = 90_000, 2**33
#: ffmpeg closes longer gaps, and keeps shorter ones. Source: ffmpeg(1), -dts_delta_threshold.
_GAP_S = 10.0
#: Bit rates vary: so much more time than usual may pass between two samples.
_UNEVEN = 2.0


class Clock(NamedTuple):
    """One clock reference."""

    pid: int
    #: In 1/90000 s, modulo 2^33.
    ticks: int


def clock_jumps(path: Path) -> bool:
    """Whether the clock jumps somewhere between the samples. Raises OSError."""
    with path.open("rb") as file:
        size_bytes = file.seek(0, 2)
        file.seek(0)
        packet_bytes = _packet_bytes(file.read(_CHUNK_BYTES))
        if packet_bytes is None:
            return False
        offsets = range(0, size_bytes, max(packet_bytes, size_bytes // _SAMPLES))
        clocks = [clock for offset in offsets if (clock := _next_clock(file, offset, packet_bytes))]
    return jumps(_of_one_program(clocks))


def jumps(ticks: Sequence[int]) -> bool:
    """Whether clock values at equal distances go back, or forward by more than the others."""
    steps_s = [(after - before) % _WRAP / _HZ for before, after in pairwise(ticks)]
    if not steps_s:
        return False
    return any(step_s > _GAP_S + _UNEVEN * median(steps_s) for step_s in steps_s)


def _of_one_program(clocks: Sequence[Clock]) -> list[int]:
    pids = [clock.pid for clock in clocks]
    usual = max(pids, key=pids.count, default=None)
    return [clock.ticks for clock in clocks if clock.pid == usual]


def _packet_bytes(head: bytes) -> int | None:
    for size in _SIZES:
        for start in range(size):
            if len(head) > start + 4 * size and all(head[start + size * number] == _SYNC for number in range(5)):
                return size
    return None


def _next_clock(file: BinaryIO, offset: int, packet_bytes: int) -> Clock | None:
    """The first clock behind an offset, within the window."""
    file.seek(offset)
    rest = b""
    for _ in range(_WINDOW_BYTES // _CHUNK_BYTES):
        chunk = file.read(_CHUNK_BYTES)
        content = rest + chunk
        if found := next(_clocks(content, packet_bytes), None):
            return found
        if len(chunk) < _CHUNK_BYTES:
            return None
        rest = content[-2 * packet_bytes :]
    return None


def _clocks(content: bytes, packet_bytes: int) -> Iterator[Clock]:
    at = content.find(_SYNC)
    while 0 <= at < len(content) - packet_bytes - 12:
        if content[at + packet_bytes] == _SYNC:
            if clock := _clock(content[at : at + 12]):
                yield clock
            at += packet_bytes
        else:
            at = content.find(_SYNC, at + 1)


def _clock(packet: bytes) -> Clock | None:
    """The clock in a packet's adaptation field: 33 bits, in the unit of time stamps."""
    has_adaptation, length, has_clock = packet[3] & 0x20, packet[4], packet[5] & 0x10
    if not (has_adaptation and length >= 7 and has_clock):
        return None
    return Clock(int.from_bytes(packet[1:3], "big") & 0x1FFF, int.from_bytes(packet[6:11], "big") >> 7)

"""Reads the times of packets out of ffmpeg's `framecrc` output. Pure. Source: libavformat/framecrcenc.c."""

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

#: Before the packets of a track: its number and its time base.
_TIME_BASE = re.compile(r"#tb ([0-9]{1,4}): ([0-9]{1,10})/([1-9][0-9]{0,9})")
#: Track, decoding time, presentation time, duration.
_PACKET = re.compile(r"([0-9]{1,4}), *(-?[0-9]{1,18}), *(-?[0-9]{1,18}), *([0-9]{1,18}),")


class Packet(NamedTuple):
    """One packet, in seconds."""

    track: int
    at_s: float
    duration_s: float


#: Seconds of a unit of time, by track.
TimeBases = dict[int, Fraction]


def packets(lines: Iterable[str], units: TimeBases) -> Iterator[Packet]:
    """The packets in lines of a report; other lines are left out. `units` keeps what the report's head says."""
    for line in lines:
        if unit := _TIME_BASE.match(line):
            units[int(unit[1])] = Fraction(int(unit[2]), int(unit[3]))
        elif packet := _PACKET.match(line):
            track = int(packet[1])
            unit_s = units.get(track, Fraction(1))
            yield Packet(track, float(int(packet[3]) * unit_s), float(int(packet[4]) * unit_s))

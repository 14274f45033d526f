"""Offsets at which nothing stands for a reader: markers of transactions, aborted and compacted records.

Taken down by the fetcher as it passes them, in its own thread, and asked for by the continuity check, in the loop's.
"""

import threading
from collections.abc import Iterable


class SkippedOffsets:
    """Ranges of offsets by partition, for as long as somebody may ask for them."""

    def __init__(self) -> None:
        self._topics: frozenset[str] = frozenset()
        #: First offset -> offset after the last; ranges of one partition may overlap.
        self._ranges: dict[tuple[str, int], dict[int, int]] = {}
        self._lock = threading.Lock()

    def watch(self, topics: Iterable[str]) -> None:
        """Take down ranges of these topics; of others nobody asks."""
        self._topics = frozenset(topics)

    def add(self, tp: tuple[str, int], start: int, end: int) -> None:
        """Nothing stands from `start` to before `end`. A repeat is harmless."""
        topic, partition = tp
        if topic in self._topics:
            with self._lock:
                ranges = self._ranges.setdefault((topic, partition), {})
                ranges[start] = max(end, ranges.get(start, 0))

    def covers(self, tp: tuple[str, int], start: int, end: int) -> bool:
        """Whether all from `start` to before `end` is known to be nothing."""
        with self._lock:
            return _reach(self._ranges.get((tp[0], tp[1]), {}), start, end) >= end

    def forget_before(self, tp: tuple[str, int], offset: int) -> int:
        """Drop what lies before `offset`. How far nothing stands from there on; `offset` where something does."""
        with self._lock:
            ranges = self._ranges.get((tp[0], tp[1]), {})
            for start in [start for start, end in ranges.items() if end <= offset]:
                del ranges[start]
            return _reach(ranges, offset, None)


def _reach(ranges: dict[int, int], start: int, end: int | None) -> int:
    """How far ranges lead from `start` on without a break; no further than they must for `end`."""
    while end is None or start < end:
        further = ranges.get(start) or max((stop for first, stop in ranges.items() if first <= start), default=0)
        if further <= start:
            break
        start = further
    return start

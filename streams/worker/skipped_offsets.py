"""Skipped offsets, which have no record for a reader: transaction markers, aborted and compacted records.

Written by the fetcher in its thread, and read by the continuity check in the event loop.
"""

import threading
from collections.abc import Iterable


class SkippedOffsets:
    """Ranges of skipped offsets by partition, as long as they are needed."""

    def __init__(self) -> None:
        self._topics: frozenset[str] = frozenset()
        #: First offset -> offset after the last; ranges of one partition may overlap.
        self._ranges: dict[tuple[str, int], dict[int, int]] = {}
        self._lock = threading.Lock()

    def watch(self, topics: Iterable[str]) -> None:
        """Keep ranges of these topics only."""
        self._topics = frozenset(topics)

    def add(self, tp: tuple[str, int], start: int, end: int) -> None:
        """Add the range from `start` to before `end`. A repeat is harmless."""
        topic, partition = tp
        if topic in self._topics:
            with self._lock:
                ranges = self._ranges.setdefault((topic, partition), {})
                ranges[start] = max(end, ranges.get(start, 0))

    def covers(self, tp: tuple[str, int], start: int, end: int) -> bool:
        """Whether all offsets from `start` to before `end` are skipped."""
        with self._lock:
            return _reach(self._ranges.get((tp[0], tp[1]), {}), start, end) >= end

    def forget_before(self, tp: tuple[str, int], offset: int) -> int:
        """Drop ranges before `offset`. Returns the first offset from there on that is not skipped."""
        with self._lock:
            ranges = self._ranges.get((tp[0], tp[1]), {})
            for start in [start for start, end in ranges.items() if end <= offset]:
                del ranges[start]
            return _reach(ranges, offset, None)


def _reach(ranges: dict[int, int], start: int, end: int | None) -> int:
    """The end of the contiguous ranges from `start` on; stops once `end` is reached."""
    while end is None or start < end:
        further = ranges.get(start) or max((stop for first, stop in ranges.items() if first <= start), default=0)
        if further <= start:
            break
        start = further
    return start

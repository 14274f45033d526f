"""The offset to commit: the end of the contiguous acknowledged or skipped offsets.

Stock faust-streaming 0.15.3 keeps the offsets between two records in an interval tree that it rebuilds for each of
them, and lists every single one at each commit: a producer that commits one event at a time, or aborts a million,
stops the event loop for seconds. It also counts the record after such a gap as acknowledged too early, and commits past
records that are still being processed (faust-streaming #606).
"""

from typing import Any


async def _add_gap(self: Any, tp: Any, offset_from: int, offset_to: int) -> None:
    """Consumer._add_gap: no record from `offset_from` to before `offset_to`."""
    add_skipped(self, tp, offset_from, offset_to)


def add_skipped(consumer: Any, tp: Any, start: int, end: int) -> None:
    """Let commits skip from `start` to `end` once they reach `start`."""
    consumer._gap.setdefault(tp, {})[start] = end
    consumer._acked[tp]  # makes Faust look at this partition when it commits


def _new_offset(self: Any, tp: Any) -> int | None:
    """Consumer._new_offset: the next offset to commit; None where that has not changed."""
    committed, acked, skipped = self._committed_offset[tp], self._acked[tp], self._gap.get(tp) or {}
    if committed is None:  # the start of reading is not known yet
        return None
    end = committed
    for offset in sorted({*acked, *skipped}):
        if offset > end:
            break
        end = max(end, skipped.get(offset, 0), offset + 1 if offset in self._acked_index[tp] else 0)
    acked[:] = [offset for offset in acked if offset >= end]
    self._acked_index[tp].intersection_update(acked)
    self._gap[tp] = {start: stop for start, stop in skipped.items() if stop > end}
    return end if end > committed else None

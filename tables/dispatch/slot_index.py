"""Sessions with free capacity, best first: one heap with lazy deletion for each kind of capacity, O(log sessions)."""

from heapq import heapify, heappop, heappush

from tables.dispatch.values import Capacity

#: (- free, load, session id): most free first, of equal ones the least loaded.
_Entry = tuple[int, int, str]
#: A heap may have this many stale entries more than current ones.
_SLACK = 64


class SlotIndex:
    """Sessions by kind of capacity."""

    def __init__(self) -> None:
        self._heaps: dict[Capacity, list[_Entry]] = {}
        self._current: dict[Capacity, dict[str, _Entry]] = {}

    def set(self, kind: Capacity, session_id: str, free: int, load: int) -> bool:
        """The session has this much free capacity of a kind; 0 or less: none. Returns whether that is more."""
        current = self._current.setdefault(kind, {})
        if free <= 0:
            current.pop(session_id, None)
            return False
        entry, before = (-free, load, session_id), current.get(session_id)
        if entry == before:
            return False
        current[session_id] = entry
        heap = self._heaps.setdefault(kind, [])
        heappush(heap, entry)
        if len(heap) > 2 * len(current) + _SLACK:
            heap[:] = current.values()
            heapify(heap)
        return before is None or free > -before[0]

    def best(self, kind: Capacity) -> str | None:
        """The session with the most free capacity of this kind."""
        heap, current = self._heaps.get(kind), self._current.get(kind)
        while heap and current:
            if current.get(heap[0][2]) == heap[0]:
                return heap[0][2]
            heappop(heap)
        return None

    def free(self, kind: Capacity, session_id: str) -> int:
        """The session's free capacity of this kind."""
        entry = self._current.get(kind, {}).get(session_id)
        return -entry[0] if entry is not None else 0

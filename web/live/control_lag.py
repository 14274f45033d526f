"""How far control is behind: the records that it has yet to apply, and for how long the oldest of them has waited."""

from collections import deque
from collections.abc import Mapping

_Source = tuple[str, int]
#: Ends of a source that are remembered: one a second.
_REMEMBERED = 600


class ControlLag:
    """The backlog of control as observed here once a second, by a monotonic clock. Pure."""

    def __init__(self) -> None:
        #: Records that control has yet to apply.
        self.records = 0
        #: Ends of each source that are not applied, the oldest first, and when they were first seen.
        self._ends: dict[_Source, deque[tuple[int, float]]] = {}

    def observe(self, next_offsets: Mapping[_Source, int], ends: Mapping[_Source, int], now: float) -> None:
        """Note the applied and the end offset of each source."""
        self.records = sum(max(0, end - next_offsets[source]) for source, end in ends.items())
        self._ends = {source: self._ends.get(source, deque()) for source in ends}
        for source, seen in self._ends.items():
            _note(seen, ends[source], now)
            while seen and seen[0][0] <= next_offsets[source]:
                seen.popleft()

    def waited_s(self, now: float) -> float:
        """Seconds for which the oldest record that is not applied has been on the log; 0 without one."""
        return max((now - seen[0][1] for seen in self._ends.values() if seen), default=0.0)


def _note(seen: deque[tuple[int, float]], end: int, now: float) -> None:
    if seen and seen[-1][0] == end:
        return
    if len(seen) >= _REMEMBERED:  # the newest ones are seen as one: the oldest counts
        now = seen.pop()[1]
    seen.append((end, now))

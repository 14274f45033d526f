"""The continuity check: per source partition the next offset is known, and an offset beyond it is a hole.

Replays are harmless, holes are not. What is known comes from the broker's commit, from what the table's own rows claim
(`at`), and from the log start. The check stands apart from streams/faust_patch.py: either alone keeps records.
"""

from collections.abc import Mapping

from faust.types import TP


class Continuity:
    """Knows what each source partition must bring next. One per process; used from the event loop's thread only,
    but for `start` and `needs_beginning`, which read while the loop waits for them.
    """

    def __init__(self) -> None:
        self._claimed: dict[tuple[str, int], int] | None = None
        self._expected: dict[TP, int] = {}

    def reclaim(self, claims: Mapping[tuple[str, int], int]) -> None:
        """Replace what rows vouch for: (topic, partition) -> highest applied offset. Called after a table recovery; an
        app without tables never does.
        """
        self._claimed = dict(claims)

    def claim(self, topic: str, partition: int, offset: int) -> None:
        """A row that vouches for `offset` has been written. A lower offset than before changes nothing."""
        claims = self._claimed = self._claimed if self._claimed is not None else {}
        claims[topic, partition] = max(offset, claims.get((topic, partition), -1))

    def claimed(self, topic: str, partition: int) -> int:
        """Highest offset vouched for; -1 where there is none."""
        return (self._claimed or {}).get((topic, partition), -1)

    def needs_beginning(self, tp: TP, committed: int | None) -> bool:
        """Whether `start` needs the log start."""
        return committed is None or (self._claimed is not None and self.claimed(*tp) < 0)

    def start(self, tp: TP, committed: int | None, beginning: int) -> int:
        """Where reading starts: at the commit, or before it where the rows vouch for less. A partition that no row
        vouches for is replayed from the log start: that is harmless, a hole is not.
        """
        if committed is None:
            return beginning
        if self._claimed is None:
            return committed
        return max(min(committed, self.claimed(*tp) + 1), beginning)

    def expect(self, starts: Mapping[TP, int]) -> None:
        """Reading starts there. Replaces what was expected before."""
        self._expected = dict(starts)

    def accept(self, tp: TP, offset: int) -> bool:
        """Whether `offset` continues its partition (a replay does); False: records before it are missing."""
        expected = self._expected.get(tp)
        if expected is None or offset > expected:
            return False
        if offset == expected:
            self._expected[tp] = offset + 1
        return True

    def expected(self, tp: TP) -> int | None:
        """The next offset of a partition; None where nothing is assigned."""
        return self._expected.get(tp)

    def jump(self, tp: TP, offset: int) -> None:
        """Retention removed what is missing before `offset`: go on there."""
        self._expected[tp] = offset + 1

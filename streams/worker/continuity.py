"""The continuity check: per source partition the next offset is known, and an offset beyond it is a hole.

Replays are harmless, holes are not. What is known comes from the broker's commit, from what the table's own rows claim
(`at`), and from the log start. The check is independent of streams/worker/patch_delivery.py: either alone keeps
records.

Offsets that hold nothing for a reader are no hole. The fetcher, which alone sees them, notes what it passes; a record
that it gave to Faust is never among them.
"""

from collections.abc import Mapping

from faust.types import TP

from streams.worker.skipped_offsets import SkippedOffsets


class Continuity:
    """Knows what each source partition must bring next. One per process; used from the event loop's thread only,
    but for `start` and `needs_beginning`, which read while the loop waits for them.
    """

    def __init__(self) -> None:
        self._claimed: dict[tuple[str, int], int] | None = None
        self._expected: dict[TP, int] = {}
        self.skipped = SkippedOffsets()

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
        if expected is None or (offset > expected and not self.skipped.covers(tp, expected, offset)):
            return False
        self._expected[tp] = max(offset + 1, expected)
        return True

    def pass_skipped(self) -> dict[TP, tuple[int, int]]:
        """Go on behind what holds nothing for a reader, where no record follows. What was passed: from, to before."""
        passed = {}
        for tp, expected in self._expected.items():
            end = self.skipped.forget_before(tp, expected)
            if end > expected:
                self._expected[tp] = end
                passed[tp] = (expected, end)
        return passed

    def expected(self, tp: TP) -> int | None:
        """The next offset of a partition; None where nothing is assigned."""
        return self._expected.get(tp)

    def jump(self, tp: TP, offset: int) -> None:
        """Retention removed what is missing before `offset`: go on there."""
        self._expected[tp] = offset + 1

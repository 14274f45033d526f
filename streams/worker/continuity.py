"""The continuity check: the next offset of each source partition is known, and a later offset is a hole.

Replays are harmless, holes are not. The next offset comes from the broker's commit, from the applied offsets in the
table's rows (`at`), and from the log start. The check is independent of streams/worker/patch_delivery.py: either alone
prevents losses.

Offsets without a record for readers are not holes. The fetcher reports them; they never include a record that it gave
to Faust.
"""

from collections.abc import Mapping

from faust.types import TP

from streams.worker.skipped_offsets import SkippedOffsets


class Continuity:
    """The next offset of each source partition. One per process; used in the event loop's thread, except `start` and
    `needs_beginning`, which the loop waits for.
    """

    def __init__(self) -> None:
        #: Topics whose partitions are not those of the tables: their offsets are only in the broker's commits.
        self.without_rows: frozenset[str] = frozenset()
        self._claimed: dict[tuple[str, int], int] | None = None
        #: Applied offsets that every table has; None: `_claimed`.
        self._resumed: dict[tuple[str, int], int] | None = None
        self._expected: dict[TP, int] = {}
        self.skipped = SkippedOffsets()

    def reclaim(
        self, claims: Mapping[tuple[str, int], int], complete: Mapping[tuple[str, int], int] | None = None
    ) -> None:
        """Replace the applied offsets: (topic, partition) -> highest applied offset. Called after a table recovery, so
        never in an app without tables. `complete`: those that no table has lost, from where reading starts.
        """
        self._claimed, self._resumed = dict(claims), None if complete is None else dict(complete)

    def claim(self, topic: str, partition: int, offset: int) -> None:
        """Note that `offset` is applied, by a row that was written. A lower offset than before changes nothing."""
        claims = self._claimed = self._claimed if self._claimed is not None else {}
        claims[topic, partition] = max(offset, claims.get((topic, partition), -1))

    def claimed(self, topic: str, partition: int) -> int:
        """Highest applied offset; -1 if there is none."""
        return (self._claimed or {}).get((topic, partition), -1)

    def forget(self, tp: TP) -> None:
        """Drop what is known of a partition: its topic was created again."""
        for known in (self._claimed, self._resumed):
            (known or {}).pop((tp.topic, tp.partition), None)
        self._expected.pop(tp, None)

    def needs_beginning(self, tp: TP, committed: int | None) -> bool:
        """Whether `start` needs the log start."""
        return committed is None or (self.is_in_rows(tp) and self._complete(*tp) < 0)

    def _complete(self, topic: str, partition: int) -> int:
        known = self._claimed if self._resumed is None else self._resumed
        return (known or {}).get((topic, partition), -1)

    def existing(self, tp: TP, committed: int, end: int) -> int | None:
        """The commit, or what replaces one beyond the log's end: new records get the offsets of those that it has lost.

        Without rows nothing says which: None, all records are read again.
        """
        if committed <= end:
            return committed
        return end if self.is_in_rows(tp) else None

    def start(self, tp: TP, committed: int | None, beginning: int) -> int:
        """Start of reading: the commit, or after the applied offset if that is lower. A partition without an applied
        offset is replayed from the log start: that is harmless, a hole is not.
        """
        if committed is None:
            return beginning
        if not self.is_in_rows(tp):
            return committed
        return max(min(committed, self._complete(*tp) + 1), beginning)

    def is_in_rows(self, tp: TP) -> bool:
        """Whether rows carry the applied offset of a partition."""
        return self._claimed is not None and tp.topic not in self.without_rows

    def expect(self, starts: Mapping[TP, int]) -> None:
        """Set the starts of reading; replaces earlier ones."""
        self._expected = dict(starts)

    def accept(self, tp: TP, offset: int) -> bool:
        """Whether `offset` continues its partition (a replay does); False: records before it are missing."""
        expected = self._expected.get(tp)
        if expected is None or (offset > expected and not self.skipped.covers(tp, expected, offset)):
            return False
        self._expected[tp] = max(offset + 1, expected)
        return True

    def pass_skipped(self) -> dict[TP, tuple[int, int]]:
        """Move past skipped offsets that no record follows. Returns the ranges: from, to before."""
        passed = {}
        for tp, expected in self._expected.items():
            end = self.skipped.forget_before(tp, expected)
            if end > expected:
                self._expected[tp] = end
                passed[tp] = (expected, end)
        return passed

    def expected(self, tp: TP) -> int | None:
        """The next offset of a partition; None if it is not assigned."""
        return self._expected.get(tp)

    def jump(self, tp: TP, offset: int) -> None:
        """Go on after `offset`: the records missing before it do not exist any more."""
        self._expected[tp] = offset + 1

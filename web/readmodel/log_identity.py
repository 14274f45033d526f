"""Checks that the log is still the one that the read model was built from. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from web.readmodel.changelog import Record
from web.readmodel.changelog_reader import ChangelogPartition, Extent
from web.readmodel.projector import Batch, ReadPosition
from web.readmodel.read_model import Saved

#: A partition's new leader may not know for a while how much of it is committed: only a log that stays shorter for
#: longer is another one. Measured on three nodes: without this, each change of leaders made every replica rebuild.
MAX_SHORT_S = 30.0
#: A tombstone may be dropped a day after compaction (Kafka's delete.retention.ms): a replica that was away for longer
#: would keep deleted rows.
TOO_OLD_S = 12 * 3600.0


class LogReplaced(Exception):
    """The log is not the one that the read model was built from; the message gives the evidence."""


#: Offset and checksum of the last stored record of each partition.
Tails = Mapping[ChangelogPartition, tuple[int, int]]


@dataclass
class LogState:
    """What one connection knows of the log: its ends, the offsets that have been read, the records to verify."""

    #: Offset after the last record of each partition, as of the last check.
    ends: Mapping[ChangelogPartition, int] = field(default_factory=dict)
    #: Next offset to read of each partition.
    read_to: dict[ChangelogPartition, int] = field(default_factory=dict)
    #: Tails of partitions whose last stored record has not been read again yet.
    tails: Tails = field(default_factory=dict)
    _short_since: float | None = None

    @classmethod
    def at_start(cls, saved: Saved, extent: Extent) -> Self:
        """The state before the first fetch."""
        return cls(
            ends=extent.ends,
            read_to={part: saved.positions.get(part, ReadPosition()).next_offset for part in extent.starts},
            tails={part: (position.next_offset - 1, position.tail) for part, position in saved.positions.items()},
        )

    def start_offsets(self, extent: Extent) -> dict[ChangelogPartition, int]:
        """Offsets to seek to. They include the last stored record, which shows whether this is the same log."""
        return {part: max(self.read_to[part] - 1, start) for part, start in extent.starts.items()}

    @property
    def is_read(self) -> bool:
        """Whether everything up to `ends` has been read."""
        return all(self.read_to[part] >= end for part, end in self.ends.items())

    def verify(self, batch: Batch) -> None:
        """Compare the batch with the last stored records. Raises LogReplaced."""
        self.tails = verified(batch, self.tails)

    def require_not_shorter(self, now: float) -> None:
        """Raise LogReplaced when the log has ended before what was read for too long; `now`: seconds, monotonic."""
        if all(self.read_to[part] <= end for part, end in self.ends.items()):
            self._short_since = None
            return
        self._short_since = now if self._short_since is None else self._short_since
        if now - self._short_since > MAX_SHORT_S:
            raise LogReplaced("the log has become shorter")


def reason_to_rebuild(saved: Saved | None, extent: Extent, partitions: int, now: float) -> str | None:
    """Why a read model cannot be continued from this log; None when it can."""
    if saved is None:
        return "the read model is new or damaged"
    if (saved.cluster, saved.partitions) != (extent.cluster, partitions):
        return "the log belongs to another cluster or has another number of partitions"
    if now - saved.current_at > TOO_OLD_S:
        return "the read model is so old that deletions may have been missed"
    if is_ahead(saved, extent):
        return "the read model is ahead of the log: the log was recreated"
    behind = any(position.next_offset < extent.starts[part] for part, position in saved.positions.items())
    return "the log starts after the end of the read model" if behind else None


def is_ahead(saved: Saved, extent: Extent) -> bool:
    """Whether a read model has read further than the log reaches."""
    return any(position.next_offset > extent.ends.get(part, 0) for part, position in saved.positions.items())


def verified(batch: Batch, tails: Tails) -> Tails:
    """The tails that have not been compared yet. Raises LogReplaced where the record at a tail's offset is different.

    A record that compaction has removed proves nothing: the next one of its partition ends the check.
    """
    if not tails:
        return tails
    left = dict(tails)
    for name, records in batch.items():
        for record in records:
            _verify(record, left.pop((name, record.partition), None))
    return left


def _verify(record: Record, tail: tuple[int, int] | None) -> None:
    if tail is not None and record.offset == tail[0] and record.checksum != tail[1]:
        raise LogReplaced("the last stored record is a different one in the log")

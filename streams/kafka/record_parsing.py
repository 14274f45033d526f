"""Tolerant record parsing: a record that aiokafka cannot parse is replaced by a placeholder, and reading goes on.

aiokafka raises for a header name that is not UTF-8, an unknown codec or a wrong checksum, and again at each start, as
the position never moves past it. Here only the damaged record is lost, never its neighbours: streams/kafka/envelope.py
reads the placeholder as an `Unreadable` entry, which becomes a dead letter like any other.

A checksum may be wrong because of the network, so the batch is fetched again before it counts as damaged. Offsets
without a record for readers (transaction markers, aborted and compacted records) are reported to `on_skipped`, as the
continuity check would count them as lost.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch

from streams.kafka import codecs
from streams.kafka.batch_format import Header, Parsed, header_of, is_intact, is_whole, magic_of, parse, split
from streams.kafka.envelope import UNPARSABLE_HEADER

log = logging.getLogger(__name__)

#: Number of fetches of a batch with a wrong checksum.
TRIES = 3
#: Maximum number of bytes of a damaged batch that are kept.
_KEPT_BYTES = 64 * 1024
#: Number of remembered positions, so that a reader that restarts again and again logs each of them once.
_REMEMBERED = 1000

#: (partition, first offset, offset after the last) of skipped offsets.
OnSkipped = Callable[[TopicPartition, int, int], None]


def install(on_skipped: OnSkipped | None = None) -> None:
    """Install the parser for all consumers of this process that are started later. Repeating it is harmless."""
    codecs.install()
    fetcher.MemoryRecords, fetcher.PartitionRecords = Batches, TolerantRecords
    if on_skipped is not None:
        _listeners[:] = [on_skipped]


class Batches:
    """aiokafka's MemoryRecords, with access to the current batch."""

    def __init__(self, data: bytes) -> None:
        self._size_bytes = len(data)
        self._ahead = split(data)
        self._next = next(self._ahead, None)
        self.current = b""

    def size_in_bytes(self) -> int:
        """Size of the whole response."""
        return self._size_bytes

    def has_next(self) -> bool:
        """Whether there is another batch. A broker truncates the last one, but never the first."""
        return self._next is not None and (not self.current or is_whole(self._next))

    def next_batch(self) -> Any:
        """The next batch. Raises CorruptRecordException."""
        self.current = self._next or b""
        if not is_whole(self.current):
            self._next = None  # the start of the next one is unknown
            raise CorruptRecordException("the length of the batch is wrong")
        self._next = next(self._ahead, None)
        magic = magic_of(self.current)
        return LegacyRecordBatch(self.current, magic) if magic < 2 else DefaultRecordBatch(self.current)

    def following_offset(self) -> int | None:
        """Base offset of the next batch."""
        following = header_of(self._next or b"")
        return following.base_offset if following else None


class TolerantRecords(PartitionRecords):  # type: ignore[misc]  # aiokafka is untyped
    """The records of a partition in a fetch response, with placeholders for unparsable ones."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[ConsumerRecord]:
        self._passed = self.next_fetch_offset
        while True:
            try:
                yield from self._tracked(super()._unpack_records())
            except Exception as error:  # noqa: BLE001 - parsers raise anything on damaged bytes
                salvaged = self._after_fault(error)
            else:
                return
            if salvaged is None:
                return
            yield from self._tracked(salvaged)

    def _tracked(self, records: Iterable[ConsumerRecord]) -> Iterator[ConsumerRecord]:
        """Yield `records`, and report the offsets between them as skipped."""
        for record in records:
            self._report_skipped(record.offset)
            self._passed = record.offset + 1
            yield record
        self._report_skipped(self.next_fetch_offset)

    def _report_skipped(self, end: int) -> None:
        if end > self._passed:
            _report(self._tp, self._passed, end)
            self._passed = end

    def _after_fault(self, error: Exception) -> Iterable[ConsumerRecord] | None:
        """The records of the current, damaged batch; None: fetch it again."""
        batch = self._records.current
        header = header_of(batch)
        if header is None or not is_intact(batch):
            if _fetches.count((self._tp, self.next_fetch_offset)) % TRIES:
                self._report_skipped(self.next_fetch_offset)
                return None
            return [
                self._instead_of(batch, self._records.following_offset() or 0, 0, f"the batch is damaged: {error!r}")
            ]
        if header.is_control:
            self.next_fetch_offset = header.next_offset
            return ()
        return self._salvaged(header, batch)

    def _salvaged(self, header: Header, batch: bytes) -> Iterator[ConsumerRecord]:
        """The records of an intact batch; a single placeholder for the part that cannot be parsed."""
        try:
            for record in parse(batch):
                if record.offset >= self.next_fetch_offset:
                    self.next_fetch_offset = record.offset + 1
                    yield self._unparsable(record) if record.fault else self._consumer_record(self._tp, record)
        except Exception as error:  # noqa: BLE001 - likewise
            if self.next_fetch_offset < header.next_offset:
                fault = f"the batch cannot be unpacked: {error!r}"
                yield self._instead_of(batch, header.next_offset, header.newest_timestamp_ms, fault)
        self.next_fetch_offset = max(self.next_fetch_offset, header.next_offset)

    def _instead_of(self, batch: bytes, end: int, timestamp_ms: int, fault: str) -> ConsumerRecord:
        """A placeholder for all records from the next offset to `end`."""
        first = self.next_fetch_offset
        self.next_fetch_offset = max(end, first + 1)
        if self.next_fetch_offset > first + 1:
            _report(self._tp, first + 1, self.next_fetch_offset)
        return self._unparsable(Parsed(first, timestamp_ms, 1, None, batch[:_KEPT_BYTES], [], fault))

    def _unparsable(self, record: Parsed) -> ConsumerRecord:
        position = {"topic": self._tp.topic, "partition": self._tp.partition, "offset": record.offset}
        if _logged.count(tuple(position.values())) == 1:
            log.error("record cannot be parsed", extra={**position, "reason": record.fault})
        reason = (record.fault or "").encode()
        return self._consumer_record(self._tp, record._replace(headers=[(UNPARSABLE_HEADER, reason)]))


#: At most one, the last installed.
_listeners: list[OnSkipped] = []


def _report(tp: TopicPartition, start: int, end: int) -> None:
    for listener in _listeners:
        listener(tp, start, end)


class _Tally:
    """Counts per position, of the latest positions."""

    def __init__(self) -> None:
        self._counts: OrderedDict[Hashable, int] = OrderedDict()

    def count(self, position: Hashable) -> int:
        """Increment the count of a position and return it."""
        self._counts[position] = self._counts.pop(position, 0) + 1
        while len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)
        return self._counts[position]


_fetches, _logged = _Tally(), _Tally()

"""What aiokafka cannot parse does not end its reader: a record that says so takes its place, and reading goes on.

aiokafka raises where a header name is not UTF-8, a codec is unknown or a checksum is wrong, and raises again at each
start, for the position never gets past it. Here only the faulty record is lost to its reader, never its neighbours:
whoever reads it with streams/kafka/envelope.py has an `Unreadable` entry, which becomes a dead letter like any other.

A wrong checksum may have come about on the way, so such a batch is fetched again before it counts as damaged.
Offsets that hold nothing for a reader (markers of transactions, aborted and compacted records) are reported to
`on_skipped`: the continuity check would take them for lost ones.
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

#: How often a batch with a wrong checksum is fetched.
TRIES = 3
#: Bytes of a damaged batch that are kept.
_KEPT_BYTES = 64 * 1024
#: Places that are remembered, so that a reader that starts again and again logs each of them once.
_REMEMBERED = 1000

#: (partition, first offset, offset after the last): nothing stands there that a reader is given.
OnSkipped = Callable[[TopicPartition, int, int], None]


def install(on_skipped: OnSkipped | None = None) -> None:
    """For every consumer of this process that starts from now on. Repeating it is harmless."""
    codecs.install()
    fetcher.MemoryRecords, fetcher.PartitionRecords = Batches, TolerantRecords
    if on_skipped is not None:
        _listeners[:] = [on_skipped]


class Batches:
    """MemoryRecords that knows which batch it has handed out last."""

    def __init__(self, data: bytes) -> None:
        self._size_bytes = len(data)
        self._ahead = split(data)
        self._next = next(self._ahead, None)
        self.current = b""

    def size_in_bytes(self) -> int:
        """Length of the whole response."""
        return self._size_bytes

    def has_next(self) -> bool:
        """Whether there is a further batch. A broker cuts off the last one, never the first: that one is damaged."""
        return self._next is not None and (not self.current or is_whole(self._next))

    def next_batch(self) -> Any:
        """The next batch. Raises CorruptRecordException."""
        self.current = self._next or b""
        if not is_whole(self.current):
            self._next = None  # nobody knows where the next one begins
            raise CorruptRecordException("the length of the batch is wrong")
        self._next = next(self._ahead, None)
        magic = magic_of(self.current)
        return LegacyRecordBatch(self.current, magic) if magic < 2 else DefaultRecordBatch(self.current)

    def following_offset(self) -> int | None:
        """Base offset of the batch behind the current one."""
        following = header_of(self._next or b"")
        return following.base_offset if following else None


class TolerantRecords(PartitionRecords):  # type: ignore[misc]  # aiokafka is untyped
    """The records of one partition in a fetch response, those that cannot be parsed included."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[ConsumerRecord]:
        self._passed = self.next_fetch_offset
        while True:
            try:
                yield from self._tracked(super()._unpack_records())
            except Exception as error:  # noqa: BLE001 - whatever a parser raises on foreign bytes
                found = self._after_fault(error)
            else:
                return
            if found is None:
                return
            yield from self._tracked(found)

    def _tracked(self, records: Iterable[ConsumerRecord]) -> Iterator[ConsumerRecord]:
        """`records`; the offsets between them are reported."""
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
        """What the current batch gives after all; None: fetch it again."""
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
        """The records of an intact batch, one by one; one for all that cannot be told apart."""
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
        """A record for everything from the next offset to `end`."""
        first = self.next_fetch_offset
        self.next_fetch_offset = max(end, first + 1)
        if self.next_fetch_offset > first + 1:
            _report(self._tp, first + 1, self.next_fetch_offset)
        return self._unparsable(Parsed(first, timestamp_ms, 1, None, batch[:_KEPT_BYTES], [], fault))

    def _unparsable(self, record: Parsed) -> ConsumerRecord:
        place = {"topic": self._tp.topic, "partition": self._tp.partition, "offset": record.offset}
        if _logged.count(tuple(place.values())) == 1:
            log.error("a record cannot be parsed", extra={**place, "reason": record.fault})
        reason = (record.fault or "").encode()
        return self._consumer_record(self._tp, record._replace(headers=[(UNPARSABLE_HEADER, reason)]))


#: One at most, whichever was installed last.
_listeners: list[OnSkipped] = []


def _report(tp: TopicPartition, start: int, end: int) -> None:
    for listener in _listeners:
        listener(tp, start, end)


class _Tally:
    """How often each of the latest places was counted."""

    def __init__(self) -> None:
        self._counts: OrderedDict[Hashable, int] = OrderedDict()

    def count(self, place: Hashable) -> int:
        """Once more; how often that is."""
        self._counts[place] = self._counts.pop(place, 0) + 1
        while len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)
        return self._counts[place]


_fetches, _logged = _Tally(), _Tally()

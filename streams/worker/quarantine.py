"""Counts how often each record has ended its process; after `LIMIT` times it is not handled any more.

A process that ends in doubt is started again and reads the same record again: what ends it every time would end it for
ever. The count is kept as metadata of the group's committed offset: there it survives the process, its disk and its
machine, moves with the partition, and goes when a later offset is committed.

Only ends that are this record's doing are counted: an exception of its handler, a delivery that the broker refuses
because of what is in it, an event loop that is blocked in the middle of handling it. A process that is killed from
outside, or cannot reach the broker, says nothing about the record that it stands at.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from schemas.base import ErrorRecord

log = logging.getLogger(__name__)

#: Ends of the process after which a record is passed over.
LIMIT = 3
#: Records of one partition that are counted, the latest ones: those between the commit and the end of a process.
_KEPT = 8
#: Longest error that is kept: all together must fit into 4,096 bytes. Source: Kafka, offset.metadata.max.bytes.
_ERROR_CHARS = 60
#: Seconds for the broker to take down that a process ends.
_WRITE_S = 3.0
#: What a broker refuses because of the record itself.
_ABOUT_CONTENT = (
    CorruptRecordException,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)


class Strikes(msgspec.Struct, frozen=True, array_like=True):
    """What one record has done so far."""

    offset: int
    times: int
    #: The last time, or what fits of it.
    error: str


class Place(NamedTuple):
    """A record."""

    tp: TP
    offset: int


class Quarantine:
    """Of one process. Loaded in the consumer's thread while the loop waits, otherwise used by the loop and, when that
    is blocked, by the watchdog.
    """

    def __init__(self) -> None:
        self._strikes: dict[TP, dict[int, Strikes]] = {}
        #: The record whose handler runs at this moment, and does not wait for anything.
        self.in_hand: Place | None = None

    def load(self, tp: TP, metadata: str) -> None:
        """Take up what is kept with a committed offset; a tool may have kept something else there."""
        self._strikes.pop(tp, None)
        with contextlib.suppress(msgspec.MsgspecError):
            self._strikes[tp] = {known.offset: known for known in _decode(metadata)}

    def metadata(self, tp: TP, committed: int) -> str:
        """What is kept with `committed`: of records that it is not behind."""
        kept = [known for known in self._strikes.get(tp, {}).values() if known.offset >= committed]
        return _encode(kept).decode() if kept else ""

    def strikes(self, place: Place) -> Strikes:
        """How often the record has ended a process."""
        return self._strikes.get(place.tp, {}).get(place.offset, Strikes(place.offset, 0, ""))

    def add(self, place: Place, error: str) -> Strikes:
        """Once more."""
        counted = Strikes(place.offset, self.strikes(place).times + 1, error[:_ERROR_CHARS])
        known = self._strikes.setdefault(place.tp, {})
        known[place.offset] = counted
        for offset in sorted(known)[:-_KEPT]:
            del known[offset]
        return counted

    @contextlib.contextmanager
    def handling(self, place: Place) -> Iterator[None]:
        """While it is entered, what happens is this record's doing. Nothing may be awaited in it."""
        self.in_hand = place
        try:
            yield
        finally:
            self.in_hand = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Strikes]).decode


def place_of(message: Any) -> Place:
    """Where a Kafka record stands."""
    return Place(TP(message.topic, message.partition), message.offset)


def quarantined(strikes: Strikes) -> ErrorRecord:
    """What the dead letter of a record says that is not handled any more."""
    return ErrorRecord(
        code="record-quarantined",
        message=f"It ended the process that handled it {strikes.times} times, and was not handled again.",
        detail=strikes.error,
    )


def is_about_content(error: BaseException) -> bool:
    """Whether an error is the doing of what was read or written, and not of a broker, a network or a disk."""
    if isinstance(error, KafkaError):
        return isinstance(error, _ABOUT_CONTENT)
    return not isinstance(error, OSError)


def count_end(consumer: Any, place: Place, error: str, committed: int | None = None) -> None:
    """Write down, in the consumer's own thread, that a record ends this process; `committed` as far as that is known.

    `consumer`: Faust's. Waits for the broker, but not long: what cannot be written down is not counted.
    """
    offset = consumer._committed_offset[place.tp] if committed is None else committed
    times = consumer.app.quarantine.add(place, error).times
    log.critical("a record ends this process", extra={**_shown(place), "times": times, "limit": LIMIT, "error": error})
    if offset is None:
        return
    commit = consumer._thread._consumer.commit({TopicPartition(*place.tp): offset})
    try:
        asyncio.run_coroutine_threadsafe(commit, consumer._thread.thread_loop).result(_WRITE_S)
    except Exception as failure:  # noqa: BLE001 - the process ends anyway; the next end counts
        log.warning("that could not be written down", extra={"error": repr(failure)})


def _shown(place: Place) -> dict[str, Any]:
    return {"topic": place.tp.topic, "partition": place.tp.partition, "offset": place.offset}


async def commit_with_metadata(quarantine: Quarantine, commit: Any, offsets: Mapping[Any, Any]) -> None:
    """AIOKafkaConsumer.commit, with what is kept of each partition. `offsets`: numbers, or as aiokafka has them."""
    plain = {tp: known if isinstance(known, int) else known.offset for tp, known in offsets.items()}
    await commit({tp: OffsetAndMetadata(n, quarantine.metadata(TP(*tp), n)) for tp, n in plain.items()})

"""The quarantine of records that crash their process: after `LIMIT` crashes a record is not handled any more.

A crashed process restarts and reads the same record again, so a record that crashes it every time would do so for ever.
The count is kept as metadata of the group's committed offset: it survives process, disk and machine, moves with the
partition, and is dropped when a later offset is committed.

Only crashes that a record causes are counted: an exception of its handler, a delivery that the broker refuses because
of its content, an event loop that is blocked while handling it. Being killed or losing the broker does not count.
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
from streams.worker.topic_ids import TopicIds, without_topic_id

log = logging.getLogger(__name__)

#: Crashes after which a record is skipped.
LIMIT = 3
#: Maximum number of counted records per partition, the latest ones: those between the commit and the crash.
_KEPT = 8
#: Maximum length of an error: all together must fit into 4,096 bytes. Source: Kafka, offset.metadata.max.bytes.
_ERROR_CHARS = 60
#: Timeout of writing a count, seconds.
_WRITE_S = 3.0
#: Errors of the broker about the content of a record.
_ABOUT_CONTENT = (
    CorruptRecordException,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)


class CrashCount(msgspec.Struct, frozen=True, array_like=True):
    """The crashes that a record has caused."""

    offset: int
    times: int
    #: The last error, truncated.
    error: str


class RecordPosition(NamedTuple):
    """The position of a record in the log."""

    tp: TP
    offset: int


class Quarantine:
    """The crash counts of the records that this process reads. Loaded in the consumer's thread while the loop waits,
    otherwise used by the loop and, when that is blocked, by the watchdog.
    """

    def __init__(self) -> None:
        self._crashes: dict[TP, dict[int, CrashCount]] = {}
        #: The record whose handler runs at this moment.
        self.handled: RecordPosition | None = None

    def load(self, tp: TP, metadata: str) -> None:
        """Load the counts from the metadata of a committed offset; unknown metadata is ignored."""
        self._crashes.pop(tp, None)
        with contextlib.suppress(msgspec.MsgspecError):
            self._crashes[tp] = {known.offset: known for known in _decode(without_topic_id(metadata))}

    def metadata(self, tp: TP, committed: int) -> str:
        """Metadata for a commit of `committed`: the counts of later records."""
        kept = [known for known in self._crashes.get(tp, {}).values() if known.offset >= committed]
        return _encode(kept).decode() if kept else ""

    def crashes(self, position: RecordPosition) -> CrashCount:
        """The crashes of a record."""
        return self._crashes.get(position.tp, {}).get(position.offset, CrashCount(position.offset, 0, ""))

    def add(self, position: RecordPosition, error: str) -> CrashCount:
        """Count a crash."""
        counted = CrashCount(position.offset, self.crashes(position).times + 1, error[:_ERROR_CHARS])
        known = self._crashes.setdefault(position.tp, {})
        known[position.offset] = counted
        for offset in sorted(known)[:-_KEPT]:
            del known[offset]
        return counted

    @contextlib.contextmanager
    def handling(self, position: RecordPosition) -> Iterator[None]:
        """While entered, crashes are caused by this record. Nothing may be awaited in it."""
        self.handled = position
        try:
            yield
        finally:
            self.handled = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[CrashCount]).decode


def position_of(message: Any) -> RecordPosition:
    """The position of a Kafka message."""
    return RecordPosition(TP(message.topic, message.partition), message.offset)


def quarantined(crashes: CrashCount) -> ErrorRecord:
    """The error of the dead letter of a quarantined record."""
    return ErrorRecord(
        code="record-quarantined",
        message=f"The record crashed its process {crashes.times} times and is not handled any more.",
        detail=crashes.error,
    )


def is_about_content(error: BaseException) -> bool:
    """Whether an error is caused by the data that was read or written, and not by a broker, a network or a disk."""
    if isinstance(error, KafkaError):
        return isinstance(error, _ABOUT_CONTENT)
    return not isinstance(error, OSError)


def count_crash(consumer: Any, position: RecordPosition, error: str, committed: int | None = None) -> None:
    """Commit, in the consumer's own thread, that a record crashes this process.

    `consumer`: Faust's. `committed`: the committed offset, if known. Waits for the broker for a few seconds; on failure
    the crash is not counted.
    """
    offset = consumer._committed_offset[position.tp] if committed is None else committed
    times = consumer.app.quarantine.add(position, error).times
    log.critical(
        "record crashes this process", extra={**_fields(position), "times": times, "limit": LIMIT, "error": error}
    )
    if offset is None:
        return
    commit = consumer._thread._consumer.commit({TopicPartition(*position.tp): offset})
    try:
        asyncio.run_coroutine_threadsafe(commit, consumer._thread.thread_loop).result(_WRITE_S)
    except Exception as failure:  # noqa: BLE001 - the process exits anyway; the next crash counts
        log.warning("crash count not committed", extra={"error": repr(failure)})


def _fields(position: RecordPosition) -> dict[str, Any]:
    return {"topic": position.tp.topic, "partition": position.tp.partition, "offset": position.offset}


async def commit_with_metadata(
    quarantine: Quarantine, topic_ids: TopicIds, commit: Any, offsets: Mapping[Any, Any]
) -> None:
    """AIOKafkaConsumer.commit with topic id and counts as metadata. `offsets`: numbers, or OffsetAndMetadata."""
    plain = {tp: known if isinstance(known, int) else known.offset for tp, known in offsets.items()}
    texts = {tp: topic_ids.add_to(tp.topic, quarantine.metadata(TP(*tp), n)) for tp, n in plain.items()}
    await commit({tp: OffsetAndMetadata(n, texts[tp]) for tp, n in plain.items()})

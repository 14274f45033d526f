"""Records of the compacted changelogs, parsed: rows, deletions, applied offsets. Pure."""

import contextlib
import logging
import zlib
from collections.abc import Iterable
from typing import Generic, Literal, NamedTuple, TypeVar

import msgspec

from schemas.jobs import Asset, Job, Queue, Step
from streams.kafka.envelope import UNDECODABLE

log = logging.getLogger("kinolog.web")

#: Sort value of a missing duration: below every duration.
NO_DURATION = -1.0
#: Additional status of a waiting step once an executor has been requested.
QUEUED = "queued"

Changelog = Literal["jobs", "assets"]
R = TypeVar("R", Job, Asset, Queue)


class Watermarks(msgspec.Struct):
    """The applied offsets that every value carries."""

    #: Highest applied offset by source topic.
    at: dict[str, int] = {}
    #: Topics whose last records the log has lost: larger offsets before this record are void.
    lost: tuple[str, ...] = ()


#: First characters of keys that belong to no job or asset: watermarks, deleted jobs, queues.
_NO_ROWS = (b"@", b"!", b"~")
_queue = msgspec.json.Decoder(Queue)
_watermarks = msgspec.json.Decoder(Watermarks)
job_rows = msgspec.json.Decoder(Job)
asset_rows = msgspec.json.Decoder(Asset)


class Record(NamedTuple):
    """One record of a changelog."""

    partition: int
    offset: int
    #: Milliseconds since the epoch, by the broker or the producer.
    timestamp_ms: int
    key: bytes
    #: None: a tombstone.
    value: bytes | None

    @property
    def checksum(self) -> int:
        """Distinguishes this record from one at the same offset of another log."""
        return zlib.crc32(self.value or b"", zlib.crc32(self.key, self.timestamp_ms & 0xFFFFFFFF))


class Change(NamedTuple, Generic[R]):
    """A new or changed row, or a deleted one (None)."""

    partition: int
    offset: int
    id: str
    row: R | None
    #: `row` as encoded in the log.
    raw: bytes


#: (topic, partition) -> highest offset of that source partition that control has applied.
AppliedOffsets = dict[tuple[str, int], int]


class ParsedRecords(NamedTuple, Generic[R]):
    """Changes and applied offsets of a batch of records."""

    changes: list[Change[R]]
    applied_offsets: AppliedOffsets
    #: Source partitions whose earlier applied offsets are void.
    voided: frozenset[tuple[str, int]] = frozenset()


def parse_records(records: Iterable[Record], rows: "msgspec.json.Decoder[R]") -> ParsedRecords[R]:
    """Changes in order, and the applied offsets. A record that cannot be decoded is logged and skipped."""
    changes: list[Change[R]] = []
    applied: AppliedOffsets = {}
    voided: set[tuple[str, int]] = set()
    for record in records:
        try:
            at, lost = _parse_record(record, rows, changes)
        except UNDECODABLE as error:
            fields = {"partition": record.partition, "offset": record.offset, "error": str(error)}
            log.warning("changelog record cannot be decoded", extra=fields)
            continue
        for topic in lost:
            voided.add((topic, record.partition))
            applied[topic, record.partition] = -1
        for topic, offset in at.items():
            source = (topic, record.partition)
            applied[source] = max(offset, applied.get(source, -1))
    return ParsedRecords(changes, applied, frozenset(voided))


def _parse_record(
    record: Record, rows: "msgspec.json.Decoder[R]", changes: list[Change[R]]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """The applied offsets and the lost topics of a record."""
    if record.key[:1] in _NO_ROWS:
        watermarks = _watermarks.decode(record.value) if record.value else Watermarks()
        return watermarks.at, watermarks.lost
    row = None if record.value is None else rows.decode(record.value)
    changes.append(Change(record.partition, record.offset, record.key.decode(), row, record.value or b""))
    return (row.at if row is not None else {}), ()


def queue_changes(records: Iterable[Record]) -> list[Change[Queue]]:
    """The queues that were paused or resumed, in order; `parse_records` logs those that cannot be decoded."""
    changes: list[Change[Queue]] = []
    for record in records:
        if record.key.startswith(b"~") and record.value:
            with contextlib.suppress(*UNDECODABLE):
                queue = _queue.decode(record.value)
                changes.append(Change(record.partition, record.offset, queue.step, queue, record.value))
    return changes


def deleted_jobs(records: Iterable[Record]) -> dict[str, bool]:
    """Ids of deleted jobs (True), and of those that control no longer remembers (False)."""
    return {record.key[1:].decode(): bool(record.value) for record in records if record.key.startswith(b"!")}


def job_words(job: Job) -> str:
    """The text that `q` searches in a job."""
    return _words(job.id, job.asset_id, job.filename, job.passthrough, *_error_words(job))


def asset_columns(asset: Asset, raw: bytes) -> dict[str, object]:
    """Values for the columns of the assets table."""
    return {
        "id": asset.id,
        "status": asset.status,
        "owner": asset.owner,
        "created_at": asset.created_at,
        "updated_at": asset.updated_at,
        "words": _words(asset.id, asset.filename, asset.passthrough, asset.reason),
        "row": raw,
    }


def step_states(job: Job) -> str:
    """The text "step=status" of each step, each between two spaces; a queued step is also listed as queued."""
    text = " "
    for step in job.steps:
        text += f"{step.spec.name}={step.status} "
        if is_queued(step):
            text += f"{step.spec.name}={QUEUED} "
    return text


def is_queued(step: Step) -> bool:
    """Whether the step waits for an executor, not for other steps."""
    return step.status == "waiting" and step.requested_at is not None


def duration_s(job: Job) -> float | None:
    """Seconds from the first acceptance to the end of the job's latest run; None before the end, or without one."""
    if job.started_at is None or job.finished_at is None:
        return None
    return max(job.finished_at - job.started_at, 0.0)


def _words(*texts: str | None) -> str:
    return "\n".join(text.casefold() for text in texts if text)


def _error_words(job: Job) -> tuple[str, ...]:
    return (job.error.code, job.error.message) if job.error is not None else ()

"""Records of the compacted changelogs as values: rows, deletions, watermarks. Pure."""

import contextlib
import logging
import zlib
from collections.abc import Iterable
from typing import Generic, Literal, NamedTuple, TypeVar

import msgspec

from schemas.jobs import Asset, Job, Queue, Step
from streams.kafka.envelope import UNDECODABLE

log = logging.getLogger("kinolog.web")

#: In lists sorted by duration, what has none stands where something shorter than everything would.
NO_DURATION = -1.0
#: What a waiting step counts as beside, once an executor is asked for.
QUEUED = "queued"

Changelog = Literal["jobs", "assets"]
R = TypeVar("R", Job, Asset, Queue)


class Vouching(msgspec.Struct):
    """What every row says beside what it is about."""

    #: Highest applied offset by source topic.
    at: dict[str, int] = {}


#: First characters of keys that are no job's or asset's: watermarks, what is left of deleted jobs, queues.
_NO_ROWS = (b"@", b"!", b"~")
_queue = msgspec.json.Decoder(Queue)
_vouching = msgspec.json.Decoder(Vouching)
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
    def mark(self) -> int:
        """Tells this record from another one at the same place of another log."""
        return zlib.crc32(self.value or b"", zlib.crc32(self.key, self.timestamp_ms & 0xFFFFFFFF))


class Change(NamedTuple, Generic[R]):
    """A row is new, different, or gone (None)."""

    partition: int
    offset: int
    id: str
    row: R | None
    #: `row` as it stands in the log.
    raw: bytes


#: (topic, partition) -> highest offset of that source topic that was applied.
Claims = dict[tuple[str, int], int]


class Reading(NamedTuple, Generic[R]):
    """What a run of records says."""

    changes: list[Change[R]]
    claims: Claims


def read(records: Iterable[Record], rows: "msgspec.json.Decoder[R]") -> Reading[R]:
    """Changes in order, and what the rows vouch for. A record that cannot be read is logged and passed over."""
    changes: list[Change[R]] = []
    claims: Claims = {}
    for record in records:
        try:
            at = _read_one(record, rows, changes)
        except UNDECODABLE as error:
            place = {"partition": record.partition, "offset": record.offset}
            log.warning("changelog record cannot be read", extra={**place, "error": str(error)})
            continue
        for topic, offset in at.items():
            source = (topic, record.partition)
            claims[source] = max(offset, claims.get(source, -1))
    return Reading(changes, claims)


def _read_one(record: Record, rows: "msgspec.json.Decoder[R]", changes: list[Change[R]]) -> dict[str, int]:
    if record.key[:1] in _NO_ROWS:
        return _vouching.decode(record.value).at if record.value else {}
    row = None if record.value is None else rows.decode(record.value)
    changes.append(Change(record.partition, record.offset, record.key.decode(), row, record.value or b""))
    return row.at if row is not None else {}


def read_queues(records: Iterable[Record]) -> list[Change[Queue]]:
    """The queues that were paused or resumed, in order; `read` has logged those that cannot be read."""
    changes: list[Change[Queue]] = []
    for record in records:
        if record.key.startswith(b"~") and record.value:
            with contextlib.suppress(*UNDECODABLE):
                queue = _queue.decode(record.value)
                changes.append(Change(record.partition, record.offset, queue.step, queue, record.value))
    return changes


def read_deleted(records: Iterable[Record]) -> dict[str, bool]:
    """Ids of jobs that were deleted (True), and of those that control has forgotten since (False)."""
    return {record.key[1:].decode(): bool(record.value) for record in records if record.key.startswith(b"!")}


def job_words(job: Job) -> str:
    """What a job is searched by."""
    return _words(job.id, job.asset_id, job.filename, job.passthrough, *_error_words(job))


def asset_columns(asset: Asset, raw: bytes) -> dict[str, object]:
    """What the read model keeps of an asset."""
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
    """The text "step=status" of each step, each between two spaces; a requested one is queued too."""
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

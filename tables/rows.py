"""Rows as bytes: the keys and values of the changelog topics."""

from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec.structs import replace

from schemas.jobs import Asset, DeletedJob, Job, Queue, Watermark

#: Largest row. Kafka rejects a record above 1 MiB, and a rejected row would stop control for ever. tables/bounds.py
#: bounds the parts of a row so that their sum stays below this.
MAX_ROW_BYTES = 512 * 1024
#: Size of `at`: one topic name (249 characters) and one offset. It is added when the row is written, after the size
#: check.
MAX_AT_BYTES = 512
#: First character of the key of a watermark row; no job or asset id may start with it.
WATERMARK_PREFIX = "@"
#: First character of the key of a deleted job's mark; as above.
DELETED_PREFIX = "!"
#: First character of the key of a queue's row; as above.
QUEUE_PREFIX = "~"
#: Seconds that the mark of a deleted job is kept: longer than any topic keeps a message that could recreate the job
#: (uploads, 30 days).
DELETED_TTL_S = 31 * 86_400.0


class _Applied(msgspec.Struct):
    """What every row may carry."""

    at: dict[str, int] = {}


_encode = msgspec.json.Encoder().encode
_job_decoder = msgspec.json.Decoder(Job)
_asset_decoder = msgspec.json.Decoder(Asset)
_deleted_decoder = msgspec.json.Decoder(DeletedJob)
_queue_decoder = msgspec.json.Decoder(Queue)
_applied_decoder = msgspec.json.Decoder(_Applied)
_watermark_decoder = msgspec.json.Decoder(Watermark)


class RowTooLarge(Exception):
    """The row would exceed its largest size."""


def encode_row(row: Job | Asset | DeletedJob | Queue) -> bytes:
    """The row as JSON."""
    return _encode(row)


def encode_checked(row: Job | Asset | DeletedJob | Queue, max_bytes: int = MAX_ROW_BYTES - MAX_AT_BYTES) -> bytes:
    """The row as JSON without `at`, of `max_bytes` at most. Raises RowTooLarge."""
    encoded = _encode(replace(row, at={}) if row.at else row)
    if len(encoded) > max_bytes:
        name = row.step if isinstance(row, Queue) else row.id
        raise RowTooLarge(f"the row of {name[:100]} would have {len(encoded)} bytes; at most {max_bytes} are allowed")
    return encoded


def encode_with_offsets(row: Job | Asset | DeletedJob | Queue, at: dict[str, int]) -> bytes:
    """The row as JSON with the applied offsets `at`: at most MAX_AT_BYTES more than `encode_checked` allows."""
    return _encode(replace(row, at=at))


def decode_job(encoded: bytes) -> Job:
    """The job of a row."""
    return _job_decoder.decode(encoded)


def decode_asset(encoded: bytes) -> Asset:
    """The asset of a row."""
    return _asset_decoder.decode(encoded)


def deleted_key(job_id: str) -> str:
    """Key of a deleted job's mark."""
    return DELETED_PREFIX + job_id


def decode_deleted(encoded: bytes) -> DeletedJob:
    """The mark of a deleted job."""
    return _deleted_decoder.decode(encoded)


def decode_queue(encoded: bytes) -> Queue:
    """The queue of a row."""
    return _queue_decoder.decode(encoded)


def watermark_row(partition: int, at: dict[str, int], lost: tuple[str, ...] = ()) -> tuple[str, bytes]:
    """Key and value of the row that records the applied offsets of `partition`. `lost`: see Watermark."""
    return f"{WATERMARK_PREFIX}{partition}", _encode(Watermark(at=at, lost=lost))


def watermark_partition(key: str) -> int | None:
    """The partition of a watermark row's key; None for the key of any other row."""
    return int(key[1:]) if key.startswith(WATERMARK_PREFIX) else None


def decode_watermark(encoded: bytes) -> dict[str, int]:
    """Highest applied offset by topic."""
    return _watermark_decoder.decode(encoded).at


def applied_of(row: bytes) -> dict[str, int]:
    """Highest applied offset by topic, of any row."""
    return _applied_decoder.decode(row).at


AppliedOffsets = dict[tuple[str, int], int]


def applied_offsets(rows: Iterable[tuple[int, dict[str, int]]]) -> AppliedOffsets:
    """Highest applied offset by (topic, partition). `rows`: partition and `at` of each."""
    applied: AppliedOffsets = {}
    for partition, at in rows:
        for topic, offset in at.items():
            applied[topic, partition] = max(offset, applied.get((topic, partition), -1))
    return applied


Row = Job | Asset | DeletedJob | Queue


def decode_row(key: str, encoded: bytes, *, is_asset: bool) -> Row | None:
    """A row of the jobs or the assets table; None for a watermark."""
    if watermark_partition(key) is not None:
        return None
    return decode_asset(encoded) if is_asset else _DECODERS.get(key[0], decode_job)(encoded)


def split_rows(
    rows: Iterable[tuple[str, bytes]],
) -> Iterator[tuple[str, Job | DeletedJob | Queue | None, dict[str, int]]]:
    """Key, value and `at` of each row of the jobs table; the value of a watermark row is None."""
    for key, encoded in rows:
        if watermark_partition(key) is not None:
            yield key, None, decode_watermark(encoded)
        else:
            row = _DECODERS.get(key[0], decode_job)(encoded)
            yield key, row, row.at


_DECODERS: dict[str, Callable[[bytes], Job | DeletedJob | Queue]] = {
    DELETED_PREFIX: decode_deleted,
    QUEUE_PREFIX: decode_queue,
}

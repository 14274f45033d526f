"""Rows as bytes: how jobs and assets stand in the changelog."""

from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec.structs import replace

from schemas.jobs import Asset, DeletedJob, Job, Queue, Watermark

#: Longest row. Kafka refuses a record above 1 MiB, and a refused row would stop control for ever. tables/bounds.py
#: bounds the parts of a row so that their sum stays below this.
MAX_ROW_BYTES = 512 * 1024
#: What `at` takes: one topic name (249 characters) and one offset. It is added when the row is written, so the size
#: check before that leaves room for it.
MAX_AT_BYTES = 512
#: First character of the key of a watermark row; no job or asset id may start with it.
WATERMARK_PREFIX = "@"
#: First character of the key of what is left of a deleted job; as above.
GRAVE_PREFIX = "!"
#: First character of the key of a queue's row; as above.
QUEUE_PREFIX = "~"
#: How long a deleted job is remembered, seconds: longer than any topic keeps what could bring it back (uploads, 30 d).
GRAVE_S = 31 * 86_400.0

_encode = msgspec.json.Encoder().encode
_job_decoder = msgspec.json.Decoder(Job)
_asset_decoder = msgspec.json.Decoder(Asset)
_grave_decoder = msgspec.json.Decoder(DeletedJob)
_queue_decoder = msgspec.json.Decoder(Queue)
_watermark_decoder = msgspec.json.Decoder(Watermark)


class RowTooLarge(Exception):
    """The row would be longer than a row may be."""


def encode_row(row: Job | Asset | DeletedJob | Queue) -> bytes:
    """The row as JSON, as it is written."""
    return _encode(row)


def encode_checked(row: Job | Asset | DeletedJob | Queue, max_bytes: int = MAX_ROW_BYTES - MAX_AT_BYTES) -> bytes:
    """The row as JSON without `at`, with room left for it. Raises RowTooLarge."""
    encoded = _encode(replace(row, at={}) if row.at else row)
    if len(encoded) > max_bytes:
        name = row.step if isinstance(row, Queue) else row.id
        raise RowTooLarge(f"the row of {name[:100]} would have {len(encoded)} bytes; {max_bytes} are allowed")
    return encoded


def encode_claim(row: Job | Asset | DeletedJob | Queue, at: dict[str, int]) -> bytes:
    """The row as JSON, with the offsets that it claims. Never too large where `encode_row` took it: they add some
    hundred bytes, and Kafka takes four times as much.
    """
    return _encode(replace(row, at=at))


def decode_job(encoded: bytes) -> Job:
    """The job of a row."""
    return _job_decoder.decode(encoded)


def decode_asset(encoded: bytes) -> Asset:
    """The asset of a row."""
    return _asset_decoder.decode(encoded)


def grave_key(job_id: str) -> str:
    """Key of what is left of a deleted job."""
    return GRAVE_PREFIX + job_id


def decode_grave(encoded: bytes) -> DeletedJob:
    """What is left of a deleted job, of its row."""
    return _grave_decoder.decode(encoded)


def decode_queue(encoded: bytes) -> Queue:
    """The queue of a row."""
    return _queue_decoder.decode(encoded)


def watermark_row(partition: int, at: dict[str, int]) -> tuple[str, bytes]:
    """Key and value of the row that says how far the log is applied in `partition`."""
    return f"{WATERMARK_PREFIX}{partition}", _encode(Watermark(at=at))


def watermark_partition(key: str) -> int | None:
    """The partition of a watermark row's key; None for the key of any other row."""
    return int(key[1:]) if key.startswith(WATERMARK_PREFIX) else None


def decode_watermark(encoded: bytes) -> dict[str, int]:
    """Highest applied offset by topic."""
    return _watermark_decoder.decode(encoded).at


Claims = dict[tuple[str, int], int]


def claims_of(rows: Iterable[tuple[int, dict[str, int]]]) -> Claims:
    """(topic, partition) -> highest offset that any row vouches for. `rows`: partition and `at` of each."""
    claims: Claims = {}
    for partition, at in rows:
        for topic, offset in at.items():
            claims[topic, partition] = max(offset, claims.get((topic, partition), -1))
    return claims


def split_rows(
    rows: Iterable[tuple[str, bytes]],
) -> Iterator[tuple[str, Job | DeletedJob | Queue | None, dict[str, int]]]:
    """Key, what the row is, and `at` of each row of the jobs table; a watermark row is nothing else."""
    for key, encoded in rows:
        if watermark_partition(key) is not None:
            yield key, None, decode_watermark(encoded)
        else:
            row = _DECODERS.get(key[0], decode_job)(encoded)
            yield key, row, row.at


_DECODERS: dict[str, Callable[[bytes], Job | DeletedJob | Queue]] = {
    GRAVE_PREFIX: decode_grave,
    QUEUE_PREFIX: decode_queue,
}

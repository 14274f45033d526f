"""Keys of the row cache, and the index entries that follow from a row. Pure.

An index entry may outlive its row; readers look at the row. A row never lacks its entry.
"""

import struct
from collections.abc import Iterator

import msgspec

from schemas.jobs import JOB_ENDED
from streams.kafka.envelope import UNDECODABLE
from tables.assets import LISTED_JOBS
from tables.rows import DELETED_PREFIX, QUEUE_PREFIX, WATERMARK_PREFIX

#: First bytes of keys: rows of the jobs and of the assets, then index entries, which have the partition next: what
#: control acts on by itself, jobs by asset, marks of deleted jobs by time, positions in the changelogs, assets whose
#: row may not list all of their jobs, and whether these are known for all of the partition.
JOBS, ASSETS, OPEN, BY_ASSET, DELETED, POSITION, CROWDED, COUNTED = b"j", b"a", b"o", b"u", b"d", b"p", b"x", b"c"
TABLES = {"jobs": JOBS, "assets": ASSETS}
#: What an index entry maps to.
NOTHING = b""
_PARTITION, _TIME = struct.Struct(">H"), struct.Struct(">d")
#: Between an asset's id and a job's; no id has it.
_BETWEEN = b"\0"
_MARK, _QUEUE, _WATERMARK = (ord(prefix) for prefix in (DELETED_PREFIX, QUEUE_PREFIX, WATERMARK_PREFIX))

#: Key and value; None deletes the key.
Entry = tuple[bytes, bytes | None]


class Head(msgspec.Struct):
    """The parts of any row that its index entries depend on."""

    id: str = ""
    asset_id: str = ""
    status: str | None = None
    refused: bool = False
    updated_at: float = 0.0
    deleted_at: float = 0.0
    changed_at: float = 0.0
    at: dict[str, int] = {}
    lost: tuple[str, ...] = ()
    jobs: dict[str, msgspec.Raw] = {}

    @property
    def dated(self) -> float:
        """When the row was written, seconds since the epoch; 0 for a watermark."""
        return max(self.updated_at, self.deleted_at, self.changed_at)


_decode_head = msgspec.json.Decoder(Head).decode


def head_of(row: bytes) -> Head | None:
    """The head of a row; None for one that another writer has overwritten."""
    try:
        return _decode_head(row)
    except UNDECODABLE:
        return None


def scope(index: bytes, partition: int) -> bytes:
    """Prefix of the entries of one partition."""
    return index + _PARTITION.pack(partition)


def open_key(partition: int, job_id: bytes) -> bytes:
    """Key of an open or refused job, of one that cannot be read, or of a queue."""
    return scope(OPEN, partition) + job_id


def by_asset_key(partition: int, asset_id: bytes, job_id: bytes) -> bytes:
    """Key of a job of an asset."""
    return scope(BY_ASSET, partition) + asset_id + _BETWEEN + job_id


def ids_by_asset(key: bytes) -> tuple[bytes, bytes]:
    """Asset and job of a key of `by_asset_key`."""
    asset_id, _, job_id = key[3:].rpartition(_BETWEEN)
    return asset_id, job_id


def crowded_key(partition: int, asset_id: bytes) -> bytes:
    """Key of an asset whose row may not list all of its jobs."""
    return scope(CROWDED, partition) + asset_id


def deleted_key(partition: int, deleted_at: float, job_id: bytes = b"") -> bytes:
    """Key of the mark of a deleted job. Sorts by time: dates are not negative."""
    return scope(DELETED, partition) + _TIME.pack(max(deleted_at, 0.0)) + job_id


def deleted_of(key: bytes) -> tuple[float, bytes]:
    """When the job was deleted, and its id."""
    return _TIME.unpack_from(key, 3)[0], key[3 + _TIME.size :]


def position_key(table: str, partition: int) -> bytes:
    """Key of how far a changelog partition is in the cache."""
    return scope(POSITION, partition) + table.encode()


def entries_of_job(partition: int, key: bytes, head: Head | None) -> Iterator[Entry]:
    """Index entries of a row of the jobs table that is written."""
    if key[:1] and key[0] == _WATERMARK:
        return
    if head is None or (key[:1] and key[0] == _QUEUE):
        yield open_key(partition, key), NOTHING  # each recovery reports those that cannot be read
    elif key[:1] and key[0] == _MARK:
        job_id = key[1:]
        yield deleted_key(partition, head.deleted_at, job_id), NOTHING
        yield open_key(partition, job_id), None
        yield by_asset_key(partition, head.asset_id.encode(), job_id), None
    else:
        is_ended = head.status in JOB_ENDED
        yield open_key(partition, key), None if is_ended and not head.refused else NOTHING
        if not head.refused:
            yield by_asset_key(partition, head.asset_id.encode(), key), NOTHING


def entries_of_tombstone(partition: int, key: bytes, before: Head | None) -> Iterator[Entry]:
    """Index entries of a row of the jobs table that is deleted. `before`: its head, needed for marks only."""
    if key[:1] and key[0] == _MARK:
        if before is not None:
            yield deleted_key(partition, before.deleted_at, key[1:]), None
    else:
        yield open_key(partition, key), None


def is_crowded(head: Head | None) -> bool:
    """Whether an asset's row may not list all of its jobs."""
    return head is not None and len(head.jobs) >= LISTED_JOBS


def mark_key(job_id: bytes) -> bytes:
    """Key of the mark of a deleted job."""
    return JOBS + DELETED_PREFIX.encode() + job_id


def is_mark(key: bytes) -> bool:
    """Whether this is the key of a deleted job's mark."""
    return bool(key) and key[0] == _MARK

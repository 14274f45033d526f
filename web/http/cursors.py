"""Cursors, opaque to clients: base64url of a JSON array whose first item is the kind."""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from typing import TypeVar

import msgspec

#: Longest cursor: some 48 partitions with offsets of 19 digits.
_MAX_CHARS = 4096
_encode = msgspec.json.Encoder().encode


class InvalidCursor(ValueError):
    """The text is not a cursor of this kind; the message is for the caller."""


class WriteCursor(msgspec.Struct, frozen=True, array_like=True, tag="w", forbid_unknown_fields=True):
    """Offsets of writes on `media.commands`."""

    #: The Kafka log of the offsets, see `log_mark`.
    log: str
    #: Highest offset written, by partition.
    offsets: dict[int, int]

    @staticmethod
    def merge(log: str, cursors: "Iterable[WriteCursor]") -> "WriteCursor":
        """One cursor for several writes to a log: the highest offset of each partition."""
        highest: dict[int, int] = {}
        for cursor in cursors:
            for partition, offset in cursor.offsets.items():
                highest[partition] = max(offset, highest.get(partition, -1))
        return WriteCursor(log, highest)


class LiveCursor(msgspec.Struct, frozen=True, array_like=True, tag="l", forbid_unknown_fields=True):
    """Position of a reader of the jobs changelog."""

    log: str
    #: Next offset of each partition.
    offsets: tuple[int, ...]


class PageCursor(msgspec.Struct, frozen=True, array_like=True, tag="p", forbid_unknown_fields=True):
    """The last row of a page."""

    #: `sort` of the query.
    sort: str
    #: That row's value in the sorted column.
    value: float
    id: str


Cursor = WriteCursor | LiveCursor | PageCursor
C = TypeVar("C", WriteCursor, LiveCursor, PageCursor)


def dump(cursor: Cursor) -> str:
    """Encode a cursor for clients."""
    return base64.urlsafe_b64encode(_encode(cursor)).decode().rstrip("=")


def load(text: str, kind: type[C]) -> C:
    """Decode a cursor. Raises InvalidCursor for any text but a cursor of this kind."""
    if len(text) > _MAX_CHARS:
        raise InvalidCursor("this cursor is malformed: it is too long")
    try:
        return msgspec.json.decode(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True), type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise InvalidCursor("this cursor is malformed, or belongs to another list") from error


def log_mark(cluster_id: str) -> str:
    """A short hash of the cluster id, by which a cursor of another Kafka log is rejected."""
    return hashlib.sha256(cluster_id.encode()).hexdigest()[:8]

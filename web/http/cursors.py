"""Cursors: opaque to clients, values to us. Base64url of a JSON array that begins with the kind."""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from typing import TypeVar

import msgspec

#: Longest text that is looked at: some 48 partitions with offsets of 19 digits.
_MAX_CHARS = 4096
_encode = msgspec.json.Encoder().encode


class InvalidCursor(ValueError):
    """The text is not a cursor that this place gave out; the message is for the caller."""


class WriteCursor(msgspec.Struct, frozen=True, array_like=True, tag="w", forbid_unknown_fields=True):
    """Where writes stand on `media.commands`."""

    #: The log it speaks of, see `log_mark`.
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
    """Where a reader of the jobs changelog stands."""

    log: str
    #: Next offset of each partition.
    offsets: tuple[int, ...]


class PageCursor(msgspec.Struct, frozen=True, array_like=True, tag="p", forbid_unknown_fields=True):
    """The last row of a page."""

    #: `sort` of the query that it belongs to.
    sort: str
    #: That row's value in the sorted column.
    value: float
    id: str


Cursor = WriteCursor | LiveCursor | PageCursor
C = TypeVar("C", WriteCursor, LiveCursor, PageCursor)


def dump(cursor: Cursor) -> str:
    """The cursor as clients carry it."""
    return base64.urlsafe_b64encode(_encode(cursor)).decode().rstrip("=")


def load(text: str, kind: type[C]) -> C:
    """The cursor in `text`. Raises InvalidCursor for anything but a cursor of this kind."""
    if len(text) > _MAX_CHARS:
        raise InvalidCursor("this cursor is malformed: it is too long")
    try:
        return msgspec.json.decode(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True), type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise InvalidCursor("this cursor is malformed, or belongs to another list") from error


def log_mark(cluster_id: str) -> str:
    """A short mark of a cluster: a cursor of another log is refused, not misread."""
    return hashlib.sha256(cluster_id.encode()).hexdigest()[:8]

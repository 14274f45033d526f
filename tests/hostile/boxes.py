"""MP4 taken apart and put together, right or wrong. Source: ISO/IEC 14496-12."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

_HOLDING = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts", b"udta", b"mvex", b"moof", b"traf"}
_HOLDING_AFTER = {b"stsd": 8, b"meta": 4, b"dref": 8, b"avc1": 78, b"mp4a": 28}


class Box(NamedTuple):
    """Where a box stands in a file."""

    kind: bytes
    start: int
    end: int
    #: Of boxes around it.
    depth: int

    @property
    def body(self) -> int:
        """Where its content begins."""
        return self.start + 8


def boxes(content: bytes, start: int = 0, end: int | None = None, depth: int = 0) -> Iterator[Box]:
    """Every box of a good file, each before those in it."""
    end = len(content) if end is None else end
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", content, start)
        yield Box(kind, start, start + size, depth)
        inner = 8 + _HOLDING_AFTER.get(kind, 0)
        if kind in _HOLDING or kind in _HOLDING_AFTER:
            yield from boxes(content, start + inner, start + size, depth + 1)
        start += size


def find(content: bytes, kind: bytes, number: int = 0) -> Box:
    """The box of that kind, counted from 0."""
    return [box for box in boxes(content) if box.kind == kind][number]


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box around `parts`."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def patched(content: bytes, at: int, form: str, *values: int) -> bytes:
    """The file with `values` written at `at`."""
    changed = bytearray(content)
    struct.pack_into(form, changed, at, *values)
    return bytes(changed)


def replaced(content: bytes, old: Box, new: bytes) -> bytes:
    """The file with a box exchanged; the sizes of those around it, and what points behind it, are set right."""
    around = [found for found in boxes(content) if found.start < old.start and found.end >= old.end]
    return _spliced(content, around, old.start, old.end, new)


def with_children(content: bytes, parent: Box, *extra: bytes) -> bytes:
    """The file with more boxes at the end of `parent`."""
    around = [found for found in boxes(content) if found.start <= parent.start and found.end >= parent.end]
    return _spliced(content, around, parent.end, parent.end, b"".join(extra))


def _spliced(content: bytes, around: list[Box], start: int, end: int, new: bytes) -> bytes:
    grown = len(new) - (end - start)
    changed = bytearray(content[:start] + new + content[end:])
    for found in around:
        struct.pack_into(">I", changed, found.start, found.end - found.start + grown)
    for table in [found for found in boxes(content) if found.kind == b"stco"]:
        _move(changed, table.body + (grown if table.start >= end else 0), end, grown)
    return bytes(changed)


def _move(content: bytearray, table: int, behind: int, by: int) -> None:
    """Move every chunk offset of a table that points behind a place."""
    (count,) = struct.unpack_from(">I", content, table + 4)
    for place in range(table + 8, table + 8 + 4 * count, 4):
        (offset,) = struct.unpack_from(">I", content, place)
        if offset >= behind:
            struct.pack_into(">I", content, place, max(0, offset + by))

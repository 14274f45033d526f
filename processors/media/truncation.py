"""Detects from a container's own sizes that a file was cut off: a few reads, however large the file is."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import BinaryIO

from processors.errors import CorruptMedia, MediaTooLarge

#: Boxes whose loss matters. Half a `free` box at the end, as some recorders leave it, is no loss.
_NEEDED = frozenset({b"moov", b"mdat", b"moof"})
#: A RIFF length that means "unknown": of a stream, or never filled in.
_RIFF_UNKNOWN = frozenset({0, 0xFFFFFFFF})

#: Most top-level boxes of a file: six hours in fragments of a fifth of a second have a third of it.
_MAX_BOXES = 1_000_000

_TOO_MANY_BOXES = f"The file consists of more than {_MAX_BOXES} fragments. Export it with fewer."
_NO_MOOV = "The file is cut off: its table of contents (moov) is missing. Upload or export it again."


def missing_bytes(source: Path, demuxer: str) -> int:
    """Bytes that the file lacks by its container's own sizes; 0 if it is complete, or has no sizes.

    Raises CorruptMedia if no player could play the rest, OSError.
    """
    with source.open("rb") as file:
        present = source.stat().st_size
        match demuxer:
            case "mov":
                declared: int | None = _boxes_end(file, present)
            case "matroska":
                declared = _matroska_end(file.read(128))
            case "avi" | "wav":
                declared = _riff_end(file.read(12))
            case _:
                declared = None
    return max(0, (declared or 0) - present)


def _boxes_end(file: BinaryIO, present: int) -> int:
    """Declared end of the needed boxes. Raises CorruptMedia without a complete moov."""
    ends = dict(_boxes(file, present))
    if ends.get(b"moov", present + 1) > present:
        raise CorruptMedia(_NO_MOOV)
    return max(end for kind, end in ends.items() if kind in _NEEDED)


def _boxes(file: BinaryIO, present: int) -> Iterator[tuple[bytes, int]]:
    """Kind and declared end of every top-level box. Source: ISO/IEC 14496-12, 4.2."""
    start = 0
    for number in count():
        if start + 8 > present:
            return
        if number > _MAX_BOXES:
            raise MediaTooLarge(_TOO_MANY_BOXES)
        file.seek(start)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 0:
            size = present - start
        elif size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size < 8:
            return  # no boxes any more: some writers pad the end
        yield head[4:8], start + size
        start += size


def _riff_end(head: bytes) -> int | None:
    """Source: Multimedia Programming Interface and Data Specifications 1.0, RIFF."""
    size = int.from_bytes(head[4:8], "little")
    return None if head[:4] != b"RIFF" or size in _RIFF_UNKNOWN else 8 + size


def _matroska_end(head: bytes) -> int | None:
    """End of the Segment, the second element; None when unknown. Source: RFC 8794 section 6, RFC 9559."""
    after_header = _element_end(head, 4)
    if after_header is None or head[after_header : after_header + 4] != b"\x18\x53\x80\x67":
        return None
    return _element_end(head, after_header + 4)


def _element_end(head: bytes, at: int) -> int | None:
    """End of the element whose length field stands at `at`; None when it is unknown or not to be seen."""
    if at >= len(head) or not head[at]:
        return None
    length = 9 - head[at].bit_length()
    value = int.from_bytes(head[at : at + length], "big") & (1 << 7 * length) - 1
    return None if value == (1 << 7 * length) - 1 else at + length + value

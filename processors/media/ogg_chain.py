"""Finds Ogg files that are several streams one after the other, from samples: recordings of radio, and joined files.

Each has a clock of its own, so that times at the end say nothing about the length. Source: RFC 3533, 4 and 6.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_PAGE, _HEADER_BYTES = b"OggS", 27
_BEGINS, _NO_TIME = 0x02, 2**64 - 1
_SAMPLES = 128
#: The longest page and its header.
_WINDOW_BYTES = 65_536 + 4096


class Page(NamedTuple):
    """A page of one stream."""

    serial: int
    begins: bool
    #: Position at its end, in units of the stream; None: no packet ends in it.
    ends_at: int | None


def is_chained(path: Path) -> bool:
    """Whether a stream begins behind another one. Raises OSError."""
    with path.open("rb") as file:
        size_bytes = file.seek(0, 2)
        offsets = range(0, size_bytes, max(_WINDOW_BYTES, size_bytes // _SAMPLES))
        pages: dict[int, Page] = {}
        for offset in (*offsets, max(0, size_bytes - _WINDOW_BYTES)):
            file.seek(offset)
            pages |= _pages(file.read(_WINDOW_BYTES), offset)
        return chained([pages[offset] for offset in sorted(pages)])


def chained(pages: Sequence[Page]) -> bool:
    """Whether pages in order belong to streams that did not begin with the file, or go back in time."""
    known, at = set[int](), dict[int, int]()
    for page in pages:
        if page.begins and not at:
            known.add(page.serial)
        elif page.serial not in known:
            return True
        elif page.ends_at is not None:
            if page.ends_at < at.get(page.serial, 0):
                return True
            at[page.serial] = page.ends_at
    return False


def _pages(content: bytes, offset: int) -> dict[int, Page]:
    """The pages that begin in these bytes, which begin at `offset`, by their place in the file."""
    pages, at = dict[int, Page](), content.find(_PAGE)
    while 0 <= at <= len(content) - _HEADER_BYTES:
        ends_at = int.from_bytes(content[at + 6 : at + 14], "little")
        serial = int.from_bytes(content[at + 14 : at + 18], "little")
        begins = bool(content[at + 5] & _BEGINS)
        pages[offset + at] = Page(serial, begins, None if ends_at == _NO_TIME else ends_at)
        at = content.find(_PAGE, at + _HEADER_BYTES)
    return pages

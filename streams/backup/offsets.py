"""Offsets of records in a restored log, and rows that refer to them. Pure.

Records get new offsets: retention and compaction have removed earlier ones. Rows say which records they have applied
(`at`), and inputs where their full URL is (`url_offset`): unchanged, these would point at other records, and commands
would be applied twice, or never.
"""

from array import array
from bisect import bisect_left, bisect_right
from typing import Any

import msgspec

#: What a value has that needs translation.
_REFERENCES = (b'"at"', b'"url_offset"', b'"lost"')


class OffsetMap:
    """Earlier offsets of restored records, and their new ones."""

    def __init__(self) -> None:
        self._earlier: dict[tuple[str, int], array[int]] = {}
        self._first: dict[tuple[str, int], int] = {}

    def begin(self, topic: str, partition: int, first: int) -> None:
        """Note the new offset of the first restored record, where it is not 0."""
        self._first[topic, partition] = first

    def add(self, topic: str, partition: int, earlier: int) -> None:
        """Note the next restored record of a partition."""
        self._earlier.setdefault((topic, partition), array("q")).append(earlier)

    def applied(self, topic: str, partition: int, offset: int) -> int | None:
        """Offset of the last record up to `offset`; None: none of them was restored."""
        found = bisect_right(self._earlier.get((topic, partition), array("q")), offset) - 1
        return found + self._first.get((topic, partition), 0) if found >= 0 else None

    def exact(self, topic: str, partition: int, offset: int) -> int | None:
        """Offset of the record that was at `offset`; None: it was not restored."""
        earlier = self._earlier.get((topic, partition), array("q"))
        found = bisect_left(earlier, offset)
        is_restored = found < len(earlier) and earlier[found] == offset
        return found + self._first.get((topic, partition), 0) if is_restored else None


def translated(value: bytes, partition: int, offsets: OffsetMap, source_urls: str) -> bytes:
    """A row or command with offsets of the restored log; `partition`: its own, and that of what it refers to.

    `source_urls`: name of the topic of full URLs.
    """
    if not any(reference in value for reference in _REFERENCES):
        return value
    try:
        content = msgspec.json.decode(value)
    except msgspec.MsgspecError:
        return value  # garbage stays what it is
    if isinstance(content, dict):
        _translate_applied(content, partition, offsets)
    _translate_urls(content, lambda offset: offsets.exact(source_urls, partition, offset))
    return msgspec.json.encode(content)


def _translate_applied(row: dict[str, Any], partition: int, offsets: OffsetMap) -> None:
    row.pop("lost", None)  # of the earlier log
    if isinstance(at := row.get("at"), dict):
        moved = {topic: offsets.applied(topic, partition, offset) for topic, offset in at.items()}
        row["at"] = {topic: offset for topic, offset in moved.items() if offset is not None}


def _translate_urls(content: Any, moved: Any) -> None:
    for item in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        _translate_urls(item, moved)
    if isinstance(content, dict) and isinstance(content.get("url_offset"), int):
        content["url_offset"] = moved(content["url_offset"])

"""Chapters of a file, from what ffprobe says. Pure."""

from collections.abc import Sequence

from processors.media.tracks import seconds
from schemas.base import Json
from schemas.probe import Chapter

#: Most that are listed, and most characters of a title: a stranger's file may hold any number.
_MOST, _TITLE_CHARS = 200, 200


def chapters(listed: Sequence[Json], zero_s: float) -> tuple[Chapter, ...]:
    """The first chapters. Times are counted from the file's start, which is at `zero_s`."""
    return tuple(_chapter(chapter, zero_s) for chapter in listed[:_MOST])


def _chapter(chapter: Json, zero_s: float) -> Chapter:
    start_s, end_s = (max(0.0, (seconds(chapter.get(name)) or 0.0) - zero_s) for name in ("start_time", "end_time"))
    title = "".join(letter for letter in str(chapter.get("tags", {}).get("title", "")) if letter.isprintable())
    return Chapter(start_s=round(start_s, 3), end_s=round(max(start_s, end_s), 3), title=title[:_TITLE_CHARS] or None)

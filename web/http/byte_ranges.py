"""Range and If-* headers of a stored file, pure. Source: RFC 9110 sections 13 and 14."""

import re
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import NamedTuple

_ONE_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*")


class Unsatisfiable(Exception):
    """The range is beyond the end of the file."""


class Span(NamedTuple):
    """Bytes [start, end) of a file."""

    start: int
    end: int


def span(header: str | None, size: int) -> Span | None:
    """Parse a Range header; None for the whole file: no range, several, or a malformed one.

    Raises Unsatisfiable.
    """
    match = _ONE_RANGE.fullmatch(header) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return _last(int(last), size)
    start, end = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return Span(start, end)


def _last(count: int, size: int) -> Span:
    if count == 0 or size == 0:
        raise Unsatisfiable
    return Span(max(size - count, 0), size)


def etag_matches(header: str | None, etag: str) -> bool:
    """Whether `If-None-Match` matches the current ETag, by weak comparison."""
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


def range_allowed(header: str | None, etag: str, modified_at: datetime, now: datetime) -> bool:
    """Whether `If-Range` allows a range: for the same bytes only, by their ETag, or by their date in seconds.

    A date is a strong validator once its second is over. Source: RFC 9110 sections 8.8.2.2 and 13.1.5.
    """
    if header is None or header.strip() == etag:
        return True
    is_current = header.strip() == format_datetime(modified_at, usegmt=True)
    return is_current and now - modified_at >= timedelta(seconds=1)

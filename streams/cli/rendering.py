"""Texts for people: responses of the interface -> lines. Pure, but for what prints."""

import json
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import click

Job = dict[str, Any]
_UNITS = ("kB", "MB", "GB", "TB")
_AGES = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))
#: Columns are two spaces apart; one that is cut keeps as many cells as a short name needs.
_GAP, _SHORTEST = 2, 8


def print_json(value: Any) -> None:
    """Print one line of JSON, at once."""
    click.echo(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def print_line(line: str) -> None:
    """Print a line, at once."""
    click.echo(printable(line))


def printable(text: str) -> str:
    """`text` without control characters: names and messages from outside must not steer the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def terminal_width() -> int | None:
    """Cells in a line of the terminal; None where the output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None, cut: str = "") -> list[str]:
    """Aligned columns below their heads; empty ones are left out.

    The column named `cut` is shortened as far as a line of `width` cells requires, the others are never cut.
    """
    from rich.cells import cell_len, set_cell_size

    table = [column for column in zip(heads, *(map(printable, row) for row in rows), strict=True) if any(column[1:])]
    widths = [max(map(cell_len, column)) for column in table]
    excess = 0 if width is None else sum(widths) + _GAP * (len(widths) - 1) - width
    for n, column in enumerate(table):
        if column[0] == cut and excess > 0:
            widths[n] = max(widths[n] - excess, min(widths[n], _SHORTEST))
            table[n] = tuple(_cut(cell, widths[n]) for cell in column)
    return [
        (" " * _GAP).join(set_cell_size(cell, size) for cell, size in zip(row, widths, strict=True)).rstrip()
        for row in zip(*table, strict=True)
    ]


def _cut(text: str, width: int) -> str:
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def counted(count: int, thing: str) -> str:
    """A number and its noun, e.g. "1 job", "1,200 jobs"."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def size(size_bytes: int) -> str:
    """Bytes in a readable unit, e.g. "1.2 MB"."""
    if size_bytes < 1000:
        return counted(size_bytes, "byte")
    power = min(int(math.log10(size_bytes) / 3), len(_UNITS))
    return f"{size_bytes / 1000**power:.1f} {_UNITS[power - 1]}"


def age(since: str, now: datetime | None = None) -> str:
    """Time since an ISO 8601 date in its largest unit, e.g. "3h"."""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(since)).total_seconds()
    return next((f"{int(seconds // unit_s)}{unit}" for unit_s, unit in _AGES if seconds >= unit_s), "0s")


def clock(at_ms: int) -> str:
    """Milliseconds as h:mm:ss."""
    minutes, seconds = divmod(at_ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def elapsed_s(timed: Mapping[str, Any]) -> float | None:
    """Seconds from start to end of a job or a step, when both are known."""
    started, finished = timed.get("started_at"), timed.get("finished_at")
    if not started or not finished:
        return None
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()


def problem(error: Mapping[str, Any]) -> str:
    """An error's message and code."""
    return f"{error.get('message') or 'failed'} ({error.get('code') or 'unknown'})"


def outcome(job: Job) -> str:
    """Status of a job in one sentence."""
    took_s = elapsed_s(job)
    words = f"{job['id']} {job['status']}" + (f" in {took_s:.1f} s" if took_s is not None else "")
    words += f" with {counted(len(job['warnings']), 'warning')}" if job.get("warnings") else ""
    return f"{words}: {problem(job['error'])}" if job.get("error") else words


def warning_lines(job: Job) -> list[str]:
    """A line per warning of a job: the step, what is missing or damaged, and where."""
    return [f"{warning['step']:<12} {problem(warning)}{_span(warning)}" for warning in job.get("warnings") or ()]


def _span(warning: Mapping[str, Any]) -> str:
    """The damaged part of the media, where it is known."""
    if "start_ms" not in warning:
        return ""
    return f", {clock(warning['start_ms'])} to {clock(warning.get('end_ms', warning['start_ms']))}"


def page_url(url: str, job_id: str) -> str:
    """The page of the service, showing one job."""
    return f"{url}/?q={quote(job_id, safe='')}"


def name_of_source(source: str) -> str:
    """The last part of a path or URL."""
    return PurePosixPath(unquote(urlsplit(source).path) if "://" in source else source).name


def next_page(page: Mapping[str, Any], command: str) -> list[str]:
    """How to get the next page, when there is one."""
    return ["", f"More: {command} --cursor {page['next_cursor']}"] if page.get("next_cursor") else []


def passages(found: Mapping[str, Any]) -> list[str]:
    """Two lines per passage: when and in which file, and its text; then what was left out of the search."""
    hits = [line for hit in found["data"] for line in passage(hit)]
    return [*(hits or ["No matches."]), *(f"(left out: {reason})" for reason in found.get("left_out", ()))]


def passage(hit: Mapping[str, Any]) -> list[str]:
    """One search hit."""
    source = "  ".join(filter(None, [hit.get("filename") or hit["asset_id"], hit.get("job_id")]))
    return [f"{clock(hit['start_ms'])}-{clock(hit['end_ms'])}  {source}", f"    {hit['text']}"]

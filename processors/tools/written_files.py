"""Checks of the files that a tool writes: an untrusted input may make it write anything."""

import asyncio
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from processors.errors import LimitExceeded, ProcessingError, ToolMisbehaved

#: Maximum files of one tool: six hours in eight renditions of two seconds a segment are 86,000.
_MAX_FILES = 200_000
#: Maximum depth of folders; tools create none.
_MAX_DEPTH = 8
#: Names that tools are given.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
#: Interval of size checks, and how many times longer than a check it is at least.
_CHECK_S, _CHECK_SHARE = 1.0, 20
#: Source: stat(2), st_blocks.
_BLOCK_BYTES = 512

_TOO_MUCH = "Processing the file writes more than the limit of {most}."


async def limit_exceeded(folders: Sequence[Path], max_bytes: int) -> ProcessingError:
    """Wait until the folders exceed a limit, and return the error. Checks about once a second."""
    while True:
        started = time.monotonic()
        fault = await asyncio.to_thread(_fault, folders, max_bytes)
        if fault is not None:
            return fault
        await asyncio.sleep(max(_CHECK_S, _CHECK_SHARE * (time.monotonic() - started)))


def check(folders: Sequence[Path], max_bytes: int) -> None:
    """Check the folders. Raises LimitExceeded; ToolMisbehaved for links, devices, odd names, deep trees. Blocking.

    Call it after the tool has exited, before any of its files is opened by path.
    """
    if fault := _fault(folders, max_bytes):
        raise fault
    for entry in (entry for folder in folders for entry, _ in _below(folder)):
        if not _NAME.fullmatch(entry.name) or not _is_plain(entry):
            raise _odd(f"{entry.name[:80]!r}, which is not a plain file with a known name")


def _fault(folders: Sequence[Path], max_bytes: int) -> ProcessingError | None:
    try:
        return _excess((found for folder in folders for found in _below(folder)), max_bytes)
    except PermissionError:
        return _odd("a folder without permissions")


def _excess(found: Iterable["tuple[os.DirEntry[str], int]"], max_bytes: int) -> ProcessingError | None:
    size_bytes = 0
    for files, (entry, depth) in enumerate(found, 1):
        with suppress(FileNotFoundError):  # removed meanwhile
            size_bytes += entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES
        if depth > _MAX_DEPTH:
            return _odd(f"folders more than {_MAX_DEPTH} deep")
        if files > _MAX_FILES:
            return LimitExceeded(_TOO_MUCH.format(most=f"{_MAX_FILES} files"))
        if size_bytes > max_bytes:
            return LimitExceeded(_TOO_MUCH.format(most=f"{max_bytes} bytes"))
    return None


def _odd(entry: str) -> ToolMisbehaved:
    return ToolMisbehaved(f"it wrote {entry}.")


def _below(folder: Path) -> Iterator["tuple[os.DirEntry[str], int]"]:
    """Every entry with its depth, from 1; links are not followed, and entries removed meanwhile are omitted."""
    pending = [(str(folder), 1)]
    while pending:
        path, depth = pending.pop()
        for entry in _listed(path):
            yield entry, depth
            if entry.is_dir(follow_symlinks=False):
                pending.append((entry.path, depth + 1))


def _listed(path: str) -> "list[os.DirEntry[str]]":
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(path) as entries:
        return list(islice(entries, _MAX_FILES + 1))
    return []


def _is_plain(entry: "os.DirEntry[str]") -> bool:
    return entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)

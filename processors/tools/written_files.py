"""What a tool leaves in its folders: whoever made the file that it reads may have made it write anything there."""

import asyncio
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from processors.errors import InvalidMedia, LimitExceeded, ToolMisbehaved

#: Most files of one tool: six hours in eight renditions of two seconds a segment are 86,000.
_MAX_FILES = 200_000
#: Folders within each other, of which tools make none.
_MAX_DEPTH = 8
#: All that a tool is ever told to write.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
#: Between looks at how much there is, and at least so many times as long as a look takes.
_LOOK_S, _LOOK_SHARE = 1.0, 20
#: Source: stat(2), st_blocks.
_BLOCK_BYTES = 512

_TOO_MUCH = "The file makes the tool that reads it write more than the {most} that are allowed."


async def outgrown(folders: Sequence[Path], max_bytes: int) -> InvalidMedia:
    """Return when there is more below the folders than may be, with what to tell. Looks about once a second."""
    while True:
        began = time.monotonic()
        fault = await asyncio.to_thread(_fault, folders, max_bytes)
        if fault is not None:
            return fault
        await asyncio.sleep(max(_LOOK_S, _LOOK_SHARE * (time.monotonic() - began)))


def check(folders: Sequence[Path], max_bytes: int) -> None:
    """Raise LimitExceeded, or ToolMisbehaved for links, devices, odd names and deep trees. Blocking.

    Call it when the tool has ended, before anything in there is opened by its path.
    """
    if fault := _fault(folders, max_bytes):
        raise fault
    for entry in (entry for folder in folders for entry, _ in _below(folder)):
        if not _NAME.fullmatch(entry.name) or not _is_plain(entry):
            raise _odd(f"{entry.name[:80]!r}, which is no plain file of ours")


def _fault(folders: Sequence[Path], max_bytes: int) -> InvalidMedia | None:
    try:
        return _excess((found for folder in folders for found in _below(folder)), max_bytes)
    except PermissionError:
        return _odd("a folder that it has closed")


def _excess(found: Iterable["tuple[os.DirEntry[str], int]"], max_bytes: int) -> InvalidMedia | None:
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


def _odd(what: str) -> ToolMisbehaved:
    return ToolMisbehaved(f"The file made the tool that reads it leave {what}.")


def _below(folder: Path) -> Iterator["tuple[os.DirEntry[str], int]"]:
    """Every entry with its depth, from 1; links are not followed, and what vanishes meanwhile is left out."""
    waiting = [(str(folder), 1)]
    while waiting:
        path, depth = waiting.pop()
        for entry in _listed(path):
            yield entry, depth
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, depth + 1))


def _listed(path: str) -> "list[os.DirEntry[str]]":
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(path) as entries:
        return list(islice(entries, _MAX_FILES + 1))
    return []


def _is_plain(entry: "os.DirEntry[str]") -> bool:
    return entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)

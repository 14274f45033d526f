"""Erasure of what deletions leave in a SQLite file, a slice of the file at a time.

`secure_delete` overwrites deleted cells and free pages. Two places keep copies: the unused space of pages whose cells
were distributed again (measured: 5 to 13 of 3,000 deleted rows could be read there), and the write-ahead log. VACUUM
would remove the first, but rewrites the whole file in one transaction.
"""

import os
import sqlite3
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: Pages that are checked in one step: 8 MiB, some 5 ms.
_SLICE_PAGES = 2048
#: Longest wait for readers of an older state, ms; a later step tries again.
_WAIT_MS = 200
#: Flags of the pages of trees: inner and leaf pages of indexes and tables. The first byte of any other page is the
#: highest of a page number, so that files of more than 128 GB would be misread.
#: Source: https://www.sqlite.org/fileformat2.html, section 1.6
_INNER, _LEAF = (2, 5), (10, 13)
#: Bytes in front of the first page's header.
_FILE_HEADER = 100

Bytes = npt.NDArray[np.uint8]


class UnusedSpace(NamedTuple):
    """The unused bytes of a page, between its cell pointers and its cells."""

    start: int
    end: int


class Erasure:
    """A pass over one file. Used in the writer's thread, outside of transactions; nobody else may write to the file."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db, self._path = db, path
        [[self._page_bytes]] = db.execute("PRAGMA page_size").fetchall()
        self._next = 0

    def step(self) -> bool:
        """Erase the next slice; True at the end of the file. Nothing happens while a reader uses an older state.

        Every page is read from the file, not from the write-ahead log, and none stays in the connection's cache, from
        which its unused space would be written again. Raises sqlite3.Error, OSError.
        """
        if not self._truncate_log():
            return False
        with self._path.open("r+b", buffering=0) as file:
            read = _erase(file.fileno(), self._next, self._page_bytes)
        self._db.execute("PRAGMA shrink_memory")
        self._next = self._next + read if read == _SLICE_PAGES else 0
        return self._next == 0

    def _truncate_log(self) -> bool:
        """Write the log's pages to the file, and empty it. False: a reader uses it for too long."""
        [[waits_ms]] = self._db.execute("PRAGMA busy_timeout").fetchall()
        self._db.execute(f"PRAGMA busy_timeout = {_WAIT_MS}")
        try:
            [[busy, _, _]] = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {waits_ms}")
        return not busy


def _erase(fd: int, first: int, page_bytes: int) -> int:
    """Overwrite the unused space of the pages of a slice; the number of its pages."""
    content = os.pread(fd, _SLICE_PAGES * page_bytes, first * page_bytes)
    pages = np.frombuffer(content, np.uint8, len(content) // page_bytes * page_bytes).reshape(-1, page_bytes)
    for n in np.flatnonzero(np.isin(pages[:, 0], (*_INNER, *_LEAF)) | (np.arange(len(pages)) + first == 0)):
        start, end = unused_space(pages[n], _FILE_HEADER if first + n == 0 else 0)
        if pages[n, start:end].any():
            os.pwrite(fd, bytes(end - start), (first + int(n)) * page_bytes + start)
    return len(pages)


def unused_space(page: Bytes, header: int) -> UnusedSpace:
    """Where nothing of a tree's page is; empty for anything else. `header`: offset of its header."""
    flag = int(page[header])
    if flag not in (*_INNER, *_LEAF):
        return UnusedSpace(0, 0)
    cells, content = _number(page, header + 3), _number(page, header + 5) or 65_536
    start = header + (12 if flag in _INNER else 8) + 2 * cells
    return UnusedSpace(start, content) if start <= content <= len(page) else UnusedSpace(0, 0)


def _number(page: Bytes, at: int) -> int:
    return int(page[at]) << 8 | int(page[at + 1])

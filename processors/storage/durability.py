"""Files and folders that survive a power cut. Blocking: call in a thread.

Source: fsync(2): the content of a file and its name are synced separately, the name with its folder; syncfs(2).
"""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

#: Files above this number are synced by one call for their whole file system: each fsync is a commit of its journal.
_MANY_FILES = 16

_libc = ctypes.CDLL(None, use_errno=True)


def sync(path: Path) -> None:
    """Write the content of a file, or the names in a folder, to the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_parents(path: Path, root: Path) -> None:
    """Write the name of `path` to the disk, and those of the folders above it, below and including `root`."""
    for parent in path.parents:
        sync(parent)
        if parent == root:
            return


def sync_tree(folder: Path, files: Sequence[Path]) -> None:
    """Write a folder to the disk, with everything below it. `files`: all regular files there. Raises OSError."""
    if len(files) > _MANY_FILES:
        _sync_file_system(folder)
        return
    folders = {parent for file in files for parent in file.parents if folder in parent.parents}
    for path in (*files, *folders, folder):
        sync(path)


def _sync_file_system(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(fd):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(fd)

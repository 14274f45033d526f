"""Atomic changes of files and folders on the local disk. Blocking: call in a thread."""

import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from processors.storage.durability import sync, sync_parents, sync_tree

#: Folder of incomplete writes below a store's root. Hidden, so no key can name it.
STAGING = ".staging"
#: `errno` of a full disk or quota.
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: Tries of a rename while another process removes the new, still empty parent folder.
_RENAMES = 5


class UnexpectedFile(Exception):
    """A tree contains something other than regular files and folders."""


def staging_path(root: Path) -> Path:
    """A new, unused path below the staging folder of `root`."""
    folder = root / STAGING
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{time.time_ns():020d}-{secrets.token_hex(4)}"


def move_into_place(source: Path, target: Path) -> None:
    """Rename `source` to `target`, making parents; both on one file system. Raises OSError."""
    for left in reversed(range(_RENAMES)):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            source.rename(target)
            break
        except FileNotFoundError:
            if not left or not source.exists():
                raise


def publish_staged(path: Path, root: Path, key: str) -> None:
    """Move a staged file or folder, whose content is synced, to `root/key`, and sync the move. Raises OSError."""
    move_into_place(path, root / key)
    sync_parents(root / key, root)


def publish_folder(folder: Path, root: Path, key: str) -> None:
    """Make `folder` readable and move it to `root/key` atomically and durably, replacing an earlier one."""
    make_readable(folder)
    target = root / key
    if target.exists():
        remove_tree(target, root)
    sync_tree(folder, files_below(folder))
    try:
        publish_staged(folder, root, key)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_into_place(folder, root, key)


def publish_file(path: Path, root: Path, key: str) -> None:
    """Move the file `path` to `root/key` atomically and durably, replacing an earlier one."""
    path.chmod(0o644)
    sync(path)
    try:
        publish_staged(path, root, key)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy = staging_path(root)
        try:
            shutil.copyfile(path, copy)
            sync(copy)
            publish_staged(copy, root, key)
        finally:
            copy.unlink(missing_ok=True)


def link_file(source: Path, root: Path, key: str) -> None:
    """Hard-link a file as `root/key`: objects never change. Copies it where links do not work."""
    second = staging_path(root)
    try:
        try:
            os.link(source, second)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(source, second)
            sync(second)
        publish_staged(second, root, key)
    finally:
        second.unlink(missing_ok=True)


def _copy_into_place(folder: Path, root: Path, key: str) -> None:
    copy = staging_path(root)
    try:
        for path in files_below(folder):  # copytree hides the errno of a full disk
            (copy / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy / path.relative_to(folder))
        make_readable(copy)
        sync_tree(copy, files_below(copy))
        publish_staged(copy, root, key)
    finally:
        shutil.rmtree(copy, ignore_errors=True)  # exists only after an error, which is being raised
    shutil.rmtree(folder, ignore_errors=True)  # the copy is complete; the caller removes the folder anyway


def make_readable(folder: Path) -> None:
    """Take ownership of `folder` and make it readable: tools may run as another user. Raises UnexpectedFile."""
    for path in [folder, *_below(folder)]:
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            # A malicious link would publish its target.
            raise UnexpectedFile(f"{path.name} is neither a file nor a folder")
        if os.geteuid() == 0:
            os.chown(path, 0, 0)
        path.chmod(0o755 if stat.S_ISDIR(mode) else 0o644)


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def files_below(folder: Path) -> list[Path]:
    """Every regular file below `folder`, in order."""
    return sorted(path for path in _below(folder) if stat.S_ISREG(path.lstat().st_mode))


def remove_tree(target: Path, root: Path) -> None:
    """Remove a file or folder and its parents that become empty, below `root`. Harmless if it does not exist."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target, ignore_errors=False)
    else:
        target.unlink(missing_ok=True)
    remove_empty_parents(target, root)


def remove_hostile_tree(folder: Path) -> None:
    """Remove a folder with untrusted content: a tree too deep to walk, or without permissions.

    Raises OSError; FileNotFoundError if it does not exist.
    """
    pending = [folder]
    while pending:
        current = pending.pop()
        current.chmod(0o700)
        for path in [path for path in current.iterdir() if path.is_dir() and not path.is_symlink()]:
            path.chmod(0o700)  # otherwise it could not be moved
            pending.append(path.rename(folder / secrets.token_hex(8)))
    shutil.rmtree(folder)


def remove_empty_parents(path: Path, root: Path) -> None:
    """Remove the parents of `path` that are empty, up to but not including `root`."""
    for parent in path.parents:
        if parent == root or root not in parent.parents:
            return
        try:
            parent.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return  # not empty: it and its parents are in use


def sweep(folder: Path, before: float) -> int:
    """Remove entries of `folder` unmodified since `before`, left by killed processes. Returns how many."""
    if not folder.is_dir():
        return 0
    stale = [path for path in folder.iterdir() if path.lstat().st_mtime < before]
    for path in stale:
        remove_tree(path, folder)
    return len(stale)

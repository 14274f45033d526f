"""File locks between processes of this machine. The kernel releases a lock when its process ends, however it ends."""

import fcntl
import itertools
import os
import re
import socket
from pathlib import Path
from typing import IO, Any


class Locked(Exception):
    """Another process holds the lock."""

    def __init__(self, path: Path, pid: int | None) -> None:
        super().__init__(f"{path} is locked by process {pid or 'unknown'}")
        #: Its process id, where it is known.
        self.pid = pid


class NameTaken(Exception):
    """Another live process has the name."""


def try_lock(file: IO[Any]) -> bool:
    """Lock an open file until it is closed; False when another process holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock(path: Path) -> IO[str]:
    """Lock `path` until the file is closed; it is created if missing, and holds our PID. Raises Locked."""
    file = path.open("a+")
    if not try_lock(file):
        pid = _pid_in(file)
        file.close()
        raise Locked(path, pid)
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    return False


def _pid_in(file: IO[str]) -> int | None:
    file.seek(0)
    text = file.read().strip()
    return int(text) if text.isdigit() else None


def claim(folder: Path, name: str) -> IO[str]:
    """Lock `name`; keep the returned file open for as long as the name is needed. Raises NameTaken."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return lock(folder / f"{name}.lock")
    except Locked as error:
        raise NameTaken(
            f"The name {name!r} is in use by process {error.pid or 'unknown'} (lock in {folder})."
        ) from error


def claim_first(folder: Path, prefix: str) -> tuple[str, IO[str]]:
    """Lock `<prefix>-<n>` with the lowest free n >= 1, so that a restarted process gets its name back."""
    for number in itertools.count(1):
        try:
            return f"{prefix}-{number}", claim(folder, f"{prefix}-{number}")
        except NameTaken:
            continue
    raise AssertionError("unreachable: the count has no end")


def host() -> str:
    """The machine's name in the characters of a consumer group's member id. A name that is locked on one machine may be
    taken on another.
    """
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())

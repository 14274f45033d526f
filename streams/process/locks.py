"""One process per name on this machine: names are claimed by a lock that dies with the process."""

import fcntl
import itertools
import re
import socket
from pathlib import Path
from typing import IO


class NameTaken(Exception):
    """Another live process has the name."""


def claim(folder: Path, name: str) -> IO[str]:
    """Lock `name`; keep the returned file open for as long as the name is needed. Raises NameTaken."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / f"{name}.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise NameTaken(f"another process runs as {name!r} (lock in {folder})") from error
    return lock


def claim_first(folder: Path, prefix: str) -> tuple[str, IO[str]]:
    """Lock `<prefix>-<n>` with the lowest n >= 1 that is free, so that a restarted process finds its name again."""
    for number in itertools.count(1):
        try:
            return f"{prefix}-{number}", claim(folder, f"{prefix}-{number}")
        except NameTaken:
            continue
    raise AssertionError("unreachable: the count has no end")


def host() -> str:
    """The machine's name in the characters of a consumer group's member id: what is locked on one machine may be taken
    on another one.
    """
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())

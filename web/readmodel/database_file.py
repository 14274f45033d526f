"""SQLite files that one process has to itself, and that can be made again from the log."""

import sqlite3
from pathlib import Path

#: Source: SQLite result codes, https://www.sqlite.org/rescode.html
_DAMAGE_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def connect(path: Path) -> sqlite3.Connection:
    """A connection that may be used from any thread, by one at a time.

    The index of the write-ahead log stands in this process's memory instead of a mapped file: on a full disk, a write
    to such a file ends the process (SIGBUS). Source: https://www.sqlite.org/vfs.html, "unix-excl".
    """
    db = _connected(path, "rwc")
    # The file can be made again: a write need not reach the disk before it is seen.
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Like `connect`, for one who only reads what is there."""
    db = _connected(path, "rw")  # "ro" would lock the file in a way of its own
    db.execute("PRAGMA query_only = ON")
    return db


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.as_uri()}?mode={mode}&vfs=unix-excl"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


def create(path: Path, tables: str, version: int) -> None:
    """Put an empty database in the place of what is there. Nobody may have it open to write."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    db = connect(path)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(f"BEGIN; {tables}; PRAGMA user_version = {version}; COMMIT")
    finally:
        db.close()


def reason_to_replace(path: Path, version: int) -> str | None:
    """Why the file cannot be gone on with; None when it can."""
    if not path.exists():
        return "there is none"
    try:
        db = connect(path)
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] != version:
                return "it is of another version"
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            return None if verdict == "ok" else f"it is damaged: {verdict}"
        finally:
            db.close()
    except sqlite3.Error as error:
        return f"it cannot be read: {error}"


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is broken, rather than busy or the disk full."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGE_CODES

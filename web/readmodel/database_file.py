"""SQLite files of one process that can be rebuilt from the log."""

import sqlite3
from pathlib import Path

#: Source: SQLite result codes, https://www.sqlite.org/rescode.html
_DAMAGE_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def connect(path: Path) -> sqlite3.Connection:
    """A connection that may be used in any thread, one at a time.

    The index of the write-ahead log is kept in memory instead of a mapped file: on a full disk, a write to a mapped
    file kills the process (SIGBUS). Source: https://www.sqlite.org/vfs.html, "unix-excl".
    """
    db = _connected(path, "rwc")
    # The file can be rebuilt: writes need not be durable.
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA secure_delete = ON")  # Debian's default, not everybody's; see erasure.py for the rest
    return db


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A read-only connection to an existing file."""
    db = _connected(path, "rw")  # "ro" would use other locks
    db.execute("PRAGMA query_only = ON")
    return db


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.as_uri()}?mode={mode}&vfs=unix-excl"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


def create(path: Path, tables: str, version: int) -> None:
    """Replace the file with an empty database. It must not be open for writing."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    db = connect(path)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(f"BEGIN; {tables}; PRAGMA user_version = {version}; COMMIT")
    finally:
        db.close()


def reason_to_replace(path: Path, version: int) -> str | None:
    """Why the file cannot be used; None when it can."""
    if not path.exists():
        return "it does not exist"
    try:
        db = connect(path)
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] != version:
                return "it has another version"
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            return None if verdict == "ok" else f"it is damaged: {verdict}"
        finally:
            db.close()
    except sqlite3.Error as error:
        return f"it cannot be read: {error}"


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is damaged, rather than busy or the disk full."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGE_CODES

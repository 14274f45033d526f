"""Files that appear whole or not at all, and are still there after a power cut. Blocking.

Source: rename(2), fsync(2): the content is synced before the rename, the folder after it.
"""

import os
import secrets
from pathlib import Path

from processors.storage.durability import sync


def write_atomically(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Replace the content of `path`. One writer at a time. Never has wider rights than `mode`. Raises OSError."""
    staged = path.with_name(f".{path.name}.new")
    staged.unlink(missing_ok=True)
    _write_synced(staged, content, mode)
    staged.replace(path)
    sync(path.parent)


def create_atomically(path: Path, content: str | bytes, mode: int = 0o644) -> bool:
    """Create `path`; False where it exists already. Any number of writers. Raises OSError."""
    staged = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _write_synced(staged, content, mode)
        os.link(staged, path)
    except FileExistsError:
        return False
    finally:
        staged.unlink(missing_ok=True)
    sync(path.parent)
    return True


def _write_synced(path: Path, content: str | bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())

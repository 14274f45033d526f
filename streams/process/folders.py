"""Checks that the folders a process writes to exist and are writable, before anything else starts."""

import contextlib
import errno
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from processors.storage.object_reader import Mark
from streams.process.files import write_atomically
from streams.settings import Settings, SettingsError

#: Errors that need another setting or other permissions; a full or broken disk is not among them.
_REFUSALS = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG}
)


def require_data_dir(settings: Settings) -> None:
    """`require_writable` for the data directory. A new one is for its user only: it has every owner's media."""
    with contextlib.suppress(OSError):  # reported below
        settings.data_path.parent.mkdir(parents=True, exist_ok=True)
        settings.data_path.mkdir(mode=0o700, exist_ok=True)
    require_writable(settings.data_path, "KINOLOG_DATA_DIR")


def require_store(settings: Settings) -> None:
    """`require_writable` for the store, if it is a folder."""
    if (folder := store_folder(settings)) is not None:
        require_writable(folder, "KINOLOG_STORE__URL")


def store_mark(settings: Settings) -> Mark:
    """What is known here of the store's owner mark: whether a process with this data directory has seen it."""
    try:
        return "required" if _seen_store(settings).read_text() == settings.store_url else "learned"
    except OSError:
        return "learned"


def remember_store(settings: Settings) -> None:
    """Note that the store has an owner mark: from now on it must have one, also after a restart. Raises OSError."""
    if store_mark(settings) != "required":
        write_atomically(_seen_store(settings), settings.store_url.encode())


def _seen_store(settings: Settings) -> Path:
    return settings.data_path / "store-seen"


def require_writable(folder: Path, setting: str) -> None:
    """Create `folder` if it is missing. Raises SettingsError with setting, folder and reason if it is not writable.

    Other errors, of a full disk for instance, are left to the writers: they may be temporary.
    """
    error = _creation_error(folder) or write_error(folder)
    if error is not None and is_refusal(error):
        raise SettingsError(f"{setting}: {folder} is not writable: {error.strerror}") from error


def _creation_error(folder: Path) -> OSError | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return error
    return None


def write_error(folder: Path) -> OSError | None:
    """The error of creating a file in an existing folder, or None. Leaves no file."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error


def is_refusal(error: BaseException) -> bool:
    """Whether `error` means that a path is not writable, so that a retry is useless."""
    return isinstance(error, OSError) and error.errno in _REFUSALS


def store_folder(settings: Settings) -> Path | None:
    """Folder of the store; None if it is a bucket."""
    url = urlsplit(settings.store_url)
    return Path(unquote(url.path)) if url.scheme == "file" else None

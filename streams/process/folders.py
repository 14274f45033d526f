"""Folders that a process writes: there, and writable, before anything else begins."""

import errno
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from streams.settings import Settings, SettingsError

#: Only another setting, or other rights, change these. A disk that is full or broken is not among them.
_REFUSALS = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG}
)


def require_data_dir(settings: Settings) -> None:
    """`require_writable` for the data dir."""
    require_writable(settings.data_path, "KINOLOG_DATA_DIR")


def require_store(settings: Settings) -> None:
    """`require_writable` for the store, where it is a folder."""
    if (folder := store_folder(settings)) is not None:
        require_writable(folder, "KINOLOG_STORE__URL")


def require_writable(folder: Path, setting: str) -> None:
    """Make `folder` where it is missing. Raises SettingsError with setting, folder and reason where it is not writable.

    Other errors, of a full disk for instance, are left to whoever writes there: they may be gone by then.
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
    """What keeps a file from being made in a folder that exists; None where nothing does. Leaves no file."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error


def is_refusal(error: BaseException) -> bool:
    """Whether `error` means that a path may not be written, however often one tries."""
    return isinstance(error, OSError) and error.errno in _REFUSALS


def store_folder(settings: Settings) -> Path | None:
    """Where media is kept on this machine; None where a bucket keeps it."""
    url = urlsplit(settings.store_url)
    return Path(unquote(url.path)) if url.scheme == "file" else None

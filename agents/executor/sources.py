"""Sources: a local, readable file for the input of a job."""

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from processors.errors import SourceMissing, SourceUnavailable
from processors.storage.errors import ObjectNotFound, StoreError
from processors.storage.keys import InvalidKey
from processors.storage.local_store import LocalStore
from processors.storage.object_store import ObjectStore
from processors.storage.read_cache import LocalCache
from processors.threads import in_thread
from schemas.jobs import Input
from schemas.step_events import StepRequested

#: Errors of a path that leads to nothing. Others, of a share whose server is away for instance, say nothing about it.
_NOTHING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})


class Sources:
    """Resolves inputs in the store and below the allowed folders."""

    def __init__(self, store: ObjectStore, roots: tuple[Path, ...], cache: LocalCache | None = None) -> None:
        self._store, self._cache = store, cache
        self._roots = roots

    async def resolve(self, source: Input, folder: Path, asset_id: str | None = None) -> Path:
        """A local file; an object of a bucket is fetched into `folder`. Raises SourceMissing, -Unavailable, OSError."""
        if source.object is not None:
            return await self._object(source.object, folder / "source", asset_id)
        if source.path is not None:
            return await in_thread(_allowed_file, Path(source.path), self._roots)
        raise SourceMissing("This pipeline needs media in the store, not a URL.")

    def large_assets(self, most: int) -> tuple[str, ...]:
        """Assets whose large source is on this machine's disk, as a copy of the bucket's; the latest first."""
        return () if self._cache is None else self._cache.large(most)

    def on_large_assets(self, changed: Callable[[], None]) -> None:
        """Call `changed` when `large_assets` has changed."""
        if self._cache is not None:
            self._cache.on_change = changed

    async def sweep(self) -> None:
        """Remove partial files of a killed process of this name."""
        if self._cache is not None:
            await self._cache.sweep()

    async def _fetch(self, key: str, target: Path, asset_id: str | None) -> None:
        if self._cache is None:
            await self._store.fetch(key, target)
        else:
            await self._cache.fetch(self._store, key, target, asset_id)

    async def artifact(self, key: str, folder: Path) -> Path:
        """A published file of an earlier step; fetched into `folder` from a bucket. Raises the errors of `resolve`."""
        return await self._object(key, folder / f"artifact-{hashlib.sha256(key.encode()).hexdigest()[:16]}")

    async def _object(self, key: str, target: Path, asset_id: str | None = None) -> Path:
        try:
            if isinstance(self._store, LocalStore):
                return await _local(self._store, key)
            await self._fetch(key, target, asset_id)
        except (InvalidKey, ObjectNotFound) as error:
            raise SourceMissing(f"There is no object {key[:200]!r} in the store.") from error
        except StoreError as error:
            raise SourceUnavailable("The store cannot be read at the moment.", detail=str(error)) from error
        return target


async def _local(store: LocalStore, key: str) -> Path:
    """Path of a stored file, which is missing if the store is there. Raises InvalidKey, ObjectNotFound, StoreError."""
    try:
        return await in_thread(_stored_file, store, key)
    except ObjectNotFound:
        await store.require_missing()
        raise
    except OSError as error:
        raise StoreError(f"{key}: {error.strerror}") from error


def downloaded(requested: StepRequested) -> Input:
    """The input of a request. For a URL, the object that the download step stored."""
    key = requested.inputs.get("download", {}).get("object")
    if requested.input.url is None or not isinstance(key, str):
        return requested.input
    return Input(object=key)


def _stored_file(store: LocalStore, key: str) -> Path:
    path = store.local_path(key)
    if not _is_file_below(path, (store.root.resolve(),)):
        raise ObjectNotFound(f"there is no object {key}")
    return path


def _allowed_file(path: Path, roots: tuple[Path, ...]) -> Path:
    try:
        if _is_file_below(path, tuple(root.resolve() for root in roots)):
            return path.resolve()
        absent = [root for root in roots if _is_below(path, root) and _is_placeholder(root)]
    except OSError as error:
        detail = f"{str(path)[:200]!r}: {error.strerror}"
        raise SourceUnavailable("The folder of this file cannot be read at the moment.", detail=detail) from error
    if absent:
        raise SourceUnavailable("The folder of this file is empty: its volume is not mounted.", detail=str(absent[0]))
    raise SourceMissing(f"There is no file {str(path)[:200]!r} below the allowed folders.")


def _is_file_below(path: Path, roots: tuple[Path, ...]) -> bool:
    """Whether it is a regular file below a root after links are resolved. Raises OSError if nobody can say."""
    try:
        real = path.resolve(strict=True)
    except (ValueError, RuntimeError):  # not a path, or a loop of links
        return False
    except OSError as error:
        if error.errno in _NOTHING:
            return False
        raise
    return real.is_file() and any(real.is_relative_to(root) for root in roots)


def _is_below(path: Path, root: Path) -> bool:
    """Whether the name of a file is below `root`, whatever is there."""
    return Path(os.path.normpath(path)).is_relative_to(root)


def _is_placeholder(root: Path) -> bool:
    """Whether nothing is in a folder, or it does not exist. Raises OSError."""
    if not root.exists():
        return True
    with os.scandir(root) as entries:
        return next(entries, None) is None

"""Objects of a bucket on the local disk, for the steps that read them next: bounded, the longest unused goes first."""

import asyncio
import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakValueDictionary

from processors.storage.object_store import ObjectStore
from processors.threads import in_thread


class LocalCache:
    """Below `folder`, which is this process's own; at most about `max_bytes`, 0: nothing is kept."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        #: One per object, for as long as anybody holds it or waits for it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        #: Objects that had to be fetched.
        self.fetched = 0

    async def give(self, store: ObjectStore, key: str, target: Path) -> None:
        """Make `target` the object's content: a second name of the file kept here, so making room takes it from nobody.

        Raises NotStored, StoreError, OSError.
        """
        stored = await store.head(key)
        if stored.size_bytes > self._max_bytes:
            await store.fetch(key, target)
            return
        name = hashlib.sha256(f"{key}\n{stored.etag}\n{stored.size_bytes}".encode()).hexdigest()
        async with self._locks.setdefault(name, asyncio.Lock()):
            if not await in_thread(_link, self._folder / name, target):
                await self._fetch(store, key, name, target)
        await in_thread(_make_room, self._folder, self._max_bytes)

    async def _fetch(self, store: ObjectStore, key: str, name: str, target: Path) -> None:
        await in_thread(_make, self._folder)
        part = self._folder / f".{secrets.token_hex(8)}"
        try:
            await store.fetch(key, part)
            await in_thread(os.link, part, target)  # before it has the name under which it may be removed again
            await in_thread(part.rename, self._folder / name)
        except BaseException:
            await in_thread(part.unlink, True)
            raise
        self.fetched += 1

    async def sweep(self) -> None:
        """Remove what a killed process of the same name was fetching."""
        await in_thread(_sweep, self._folder)


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def _link(path: Path, target: Path) -> bool:
    try:
        os.link(path, target)
    except FileNotFoundError:
        return False
    os.utime(target)  # the same file, whoever makes room meanwhile
    return True


def _make_room(folder: Path, max_bytes: int) -> None:
    total = 0
    for _, size_bytes, path in sorted(_kept(folder), reverse=True):
        total += size_bytes
        if total > max_bytes:
            path.unlink(missing_ok=True)


def _kept(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """When each file was last used, its size, its path. Others make room at the same time."""
    for path in folder.glob("[!.]*"):
        with contextlib.suppress(FileNotFoundError):
            stat = path.stat()
            yield stat.st_mtime_ns, stat.st_size, path


def _sweep(folder: Path) -> None:
    for path in folder.glob(".*"):
        path.unlink(missing_ok=True)

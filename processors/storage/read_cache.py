"""Read cache of a bucket's objects on the local disk, bounded, evicting the least recently used."""

import asyncio
import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from weakref import WeakValueDictionary

from processors.storage.object_store import ObjectStore
from processors.threads import in_thread


def _ignore() -> None:
    """Default of `LocalCache.on_change`."""


class LocalCache:
    """A cache in `folder`, used by this process only; at most about `max_bytes`, 0: disabled.

    Objects from `large_bytes` on are kept under the label, too, that they were fetched with.
    """

    def __init__(self, folder: Path, max_bytes: int, large_bytes: int = 0) -> None:
        self._folder, self._max_bytes, self._large_bytes = folder, max_bytes, large_bytes
        #: Labels of large files by the file's name, the latest last.
        self._labels: dict[str, str] = {}
        #: Called when `large` changes; must be cheap.
        self.on_change: Callable[[], None] = _ignore
        #: One per object, while a task holds it or waits for it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        #: Cache misses.
        self.fetched = 0

    def large(self, most: int) -> tuple[str, ...]:
        """Labels of the large objects here, the latest first."""
        return tuple(dict.fromkeys(reversed(self._labels.values())))[:most]

    async def fetch(self, store: ObjectStore, key: str, target: Path, label: str | None = None) -> None:
        """Make `target` the object's content: a hard link of the cached file, so eviction does not affect it.

        Raises NotStored, StoreError, OSError.
        """
        stored = await store.head(key)
        if stored.size_bytes > self._max_bytes:
            await store.fetch(key, target)
            return
        name = hashlib.sha256(f"{key}\n{stored.etag}\n{stored.size_bytes}".encode()).hexdigest()
        async with self._locks.setdefault(name, asyncio.Lock()):
            if not await in_thread(_link, self._folder / name, target):
                await self._fetch_missing(store, key, name, target)
        evicted = await in_thread(_evict, self._folder, self._max_bytes)
        self._note(name, label if stored.size_bytes >= self._large_bytes else None, evicted)

    def _note(self, name: str, label: str | None, evicted: list[str]) -> None:
        before = self.large(len(self._labels))
        for gone in evicted:
            self._labels.pop(gone, None)
        if label is not None and name not in evicted:
            self._labels.pop(name, None)
            self._labels[name] = label
        if self.large(len(self._labels)) != before:
            self.on_change()

    async def _fetch_missing(self, store: ObjectStore, key: str, name: str, target: Path) -> None:
        await in_thread(_make, self._folder)
        part = self._folder / f".{secrets.token_hex(8)}"
        try:
            await store.fetch(key, part)
            await in_thread(os.link, part, target)  # before its final name, under which it may be evicted
            await in_thread(part.rename, self._folder / name)
        except BaseException:
            await in_thread(part.unlink, True)
            raise
        self.fetched += 1

    async def sweep(self) -> None:
        """Remove incomplete files that a killed process of the same name left."""
        await in_thread(_sweep, self._folder)


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def _link(path: Path, target: Path) -> bool:
    try:
        os.link(path, target)
    except FileNotFoundError:
        return False
    os.utime(target)  # the same file, even if it is evicted meanwhile
    return True


def _evict(folder: Path, max_bytes: int) -> list[str]:
    """Names of the files that had to go."""
    total, evicted = 0, []
    for _, size_bytes, path in sorted(_kept(folder), reverse=True):
        total += size_bytes
        if total > max_bytes:
            path.unlink(missing_ok=True)
            evicted.append(path.name)
    return evicted


def _kept(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Last use, size and path of each file. Other tasks may evict at the same time."""
    for path in folder.glob("[!.]*"):
        with contextlib.suppress(FileNotFoundError):
            stat = path.stat()
            yield stat.st_mtime_ns, stat.st_size, path


def _sweep(folder: Path) -> None:
    for path in folder.glob(".*"):
        path.unlink(missing_ok=True)

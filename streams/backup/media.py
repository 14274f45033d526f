"""The store's part of a backup: a list of all objects, and their content unless it is backed up otherwise."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from processors.storage.errors import ObjectNotFound
from processors.storage.object_store import ObjectStore
from streams.backup.archive import BackupError, create_private

#: Folders of the store; anything else is not kinolog's.
_FOLDERS = ("assets", "uploads", "direct")
_LIST = "media.jsonl.gz"
_CHUNK_BYTES = 1 << 20


class ListedObject(msgspec.Struct, frozen=True, array_like=True):
    """An object of the store."""

    key: str
    size_bytes: int


class Objects(NamedTuple):
    """Number and size of objects."""

    objects: int
    size_bytes: int


async def save_media(store: ObjectStore, folder: Path, *, with_content: bool) -> Objects:
    """List the objects below `folder`, and copy them if `with_content`. Raises StoreError, OSError.

    One that is deleted meanwhile is left out: its asset is deleted, too.
    """
    count = size_bytes = 0
    with create_private(folder / _LIST) as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as listing:
        for top in _FOLDERS:
            async for stored in store.walk(top):
                if with_content and not await _copied(store, stored.key, folder / "media" / stored.key):
                    continue
                listing.write(msgspec.json.encode(ListedObject(stored.key, stored.size_bytes)) + b"\n")
                count, size_bytes = count + 1, size_bytes + stored.size_bytes
    return Objects(count, size_bytes)


async def _copied(store: ObjectStore, key: str, path: Path) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        await store.fetch(key, path)
    except ObjectNotFound:
        return False
    return True


async def restore_media(store: ObjectStore, folder: Path, *, with_content: bool) -> Objects:
    """Store the listed objects from `folder`, or check that they are in the store: those that are missing there.

    Raises StoreError, OSError, BackupError.
    """
    missing = Objects(0, 0)
    for listed in _listed(folder):
        if with_content:
            path = folder / "media" / listed.key
            await store.put(listed.key, _chunks(path), max(listed.size_bytes, 1))
        elif not await _is_stored(store, listed):
            missing = Objects(missing.objects + 1, missing.size_bytes + listed.size_bytes)
    return missing


async def _is_stored(store: ObjectStore, listed: ListedObject) -> bool:
    try:
        return (await store.head(listed.key)).size_bytes == listed.size_bytes
    except ObjectNotFound:
        return False


def _listed(folder: Path) -> list[ListedObject]:
    try:
        with gzip.open(folder / _LIST, "rb") as listing:
            return [msgspec.json.decode(line, type=ListedObject) for line in listing]
    except (OSError, EOFError, msgspec.MsgspecError) as error:
        raise BackupError(f"{folder / _LIST} cannot be read: {error}") from error


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := _read(file):
            yield chunk


def _read(file: IO[bytes]) -> bytes:
    return file.read(_CHUNK_BYTES)

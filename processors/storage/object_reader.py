"""Read access to objects through obstore, the same for folders and buckets."""

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import obstore
import stamina

from processors.storage.byte_streams import batched
from processors.storage.errors import ObjectNotFound, StoreAbsent, StoreError, mapped_errors
from processors.storage.keys import FOLDERS, OWNER_KEY, checked_key
from processors.threads import in_thread

#: Smallest chunk of a download.
_CHUNK_BYTES = 256 * 1024
#: Tries to fetch one object; each continues where the previous one broke.
_FETCH_TRIES = 5
_FETCH_PAUSE_S = 0.5
_ABSENT = (
    f"the store has no {OWNER_KEY}, so it is not this installation's: a volume that is not mounted, or another "
    "KINOLOG_STORE__URL. Only if it is new on purpose: `kinolog store adopt`"
)


#: What a store knows of its owner mark. "required": without it, this is not the store. "learned": required once it was
#: seen, and nothing is missing in a store without anything; for processes that do not know whether the store is new.
#: "ignored": of stores that nobody marks.
Mark = Literal["required", "learned", "ignored"]


class StoredObject(NamedTuple):
    """Metadata of one object."""

    key: str
    size_bytes: int
    #: Strong entity tag, with its quotes.
    etag: str
    modified_at: datetime


class ObjectReader:
    """Reads and lists objects of an obstore store."""

    def __init__(self, objects: Any, mark: Mark) -> None:
        """`mark`: see Mark."""
        self._objects, self.mark = objects, mark

    async def require_there(self) -> None:
        """See ObjectStore."""
        if self.mark == "ignored":
            return
        try:
            with mapped_errors(OWNER_KEY):
                await obstore.head_async(self._objects, OWNER_KEY)
        except ObjectNotFound as error:
            if self.mark == "required":
                raise StoreAbsent(_ABSENT) from error
        else:
            self.mark = "required"

    async def require_missing(self) -> None:
        """See ObjectStore."""
        await self.require_there()
        if self.mark == "learned" and await self.is_empty():
            raise StoreAbsent(_ABSENT)

    async def head(self, key: str) -> StoredObject:
        """Metadata of an object. Raises ObjectNotFound, InvalidKey, StoreError."""
        async with self._found(key):
            return _stored(await obstore.head_async(self._objects, key))

    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Bytes [start, end) of an object in chunks; `start` must be less than its size.

        Raises ObjectNotFound, StoreError.
        """
        requested: Any = {"offset": start} if end is None else (start, end)
        options: Any = {"range": requested} if start or end else None
        async with self._found(key):
            response = await obstore.get_async(self._objects, key, options=options)
            async for chunk in response.stream(min_chunk_size=_CHUNK_BYTES):
                yield bytes(chunk)

    async def fetch(self, key: str, path: Path) -> None:
        """Write an object to the file `path`, continuing an interrupted body. Raises ObjectNotFound, StoreError.

        Only for immutable objects: the continuation must belong to the same content.
        """
        stored = await self.head(key)
        retries = stamina.retry_context(
            on=_is_transient, attempts=_FETCH_TRIES, timeout=None, wait_initial=_FETCH_PAUSE_S
        )
        with await in_thread(path.open, "wb") as file:
            async for attempt in retries:
                with attempt:
                    if file.tell() < stored.size_bytes:
                        async for part in batched(self.get(key, file.tell())):
                            await in_thread(file.write, part)
        if (await in_thread(path.stat)).st_size != stored.size_bytes:
            raise StoreError(f"{key} changed while it was read")

    @contextlib.asynccontextmanager
    async def _found(self, key: str) -> AsyncIterator[None]:
        """Map errors about one object. It is missing if the store is there. Raises ObjectNotFound, StoreError."""
        try:
            with mapped_errors(checked_key(key)):
                yield
        except ObjectNotFound:
            if key != OWNER_KEY:
                await self.require_missing()
            raise

    async def is_empty(self) -> bool:
        """Whether there is nothing in the folders that kinolog manages. Raises StoreError."""
        for folder in FOLDERS:
            async for _ in self.walk(folder):
                return False
        return True

    async def list(self, prefix: str) -> list[StoredObject]:
        """Every object below `prefix`, sorted by key. Raises StoreError."""
        with mapped_errors(checked_key(prefix)):
            entries = await obstore.list(self._objects, prefix).collect_async()
            return sorted(_stored(meta) for meta in entries)

    async def walk(self, prefix: str) -> AsyncIterator[StoredObject]:
        """Every object below `prefix`, unsorted, page by page: for stores of any size. Raises StoreError."""
        with mapped_errors(checked_key(prefix)):
            async for entries in obstore.list(self._objects, prefix):
                for meta in entries:
                    yield _stored(meta)


def _is_transient(error: Exception) -> bool:
    return isinstance(error, StoreError) and not isinstance(error, ObjectNotFound)


def _stored(meta: Any) -> StoredObject:
    return StoredObject(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"])

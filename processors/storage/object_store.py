"""The object store's interface, and which implementation a URL selects."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from processors.storage.bucket_store import BucketStore
from processors.storage.disk_reserve import NO_RESERVE, DiskReserve
from processors.storage.local_store import LocalStore
from processors.storage.object_reader import Mark, StoredObject


class ObjectStore(Protocol):
    """Objects by key. Every method raises InvalidKey for an invalid key."""

    mark: Mark

    async def require_there(self) -> None:
        """Raise StoreAbsent if the store must have its owner mark and has none. Raises StoreError.

        Otherwise the placeholder of a volume that is not mounted would take uploads, and would have lost all media.
        """
        ...

    async def require_missing(self) -> None:
        """Return if an object that was not found is missing. Raises StoreAbsent if all are; StoreError."""
        ...

    async def head(self, key: str) -> StoredObject:
        """Metadata of an object. Raises ObjectNotFound, StoreError."""
        ...

    def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Bytes [start, end) of an object in chunks; `start` must be less than its size.

        Raises ObjectNotFound, StoreError.
        """
        ...

    async def fetch(self, key: str, path: Path) -> None:
        """Write an immutable object to the local file `path`. Raises ObjectNotFound, StoreError."""
        ...

    async def put(self, key: str, chunks: AsyncIterable[bytes], max_bytes: int) -> StoredObject:
        """Store a stream; it appears whole or not at all, and a broken one leaves nothing behind, not even folders.

        Raises ObjectTooLarge beyond `max_bytes`, StoreError, and whatever `chunks` raises.
        """
        ...

    async def put_file(self, path: Path, key: str, attributes: Mapping[str, str] | None = None) -> None:
        """Store a local file, which may be moved; it appears whole or not at all. A repeat replaces.

        `attributes`: headers and metadata of a bucket's object, over the usual ones. Raises StoreError, OSError.
        """
        ...

    async def copy(self, key: str, target: str) -> None:
        """Make `target` an object with the same content, inside the store. Raises ObjectNotFound, StoreError."""
        ...

    async def publish_tree(self, folder: Path, prefix: str) -> None:
        """Store everything below `folder`, which may be moved, under `prefix`. A repeat replaces.

        Raises StoreError, UnexpectedFile for links and devices; then nothing remains under `prefix`.
        """
        ...

    async def is_empty(self) -> bool:
        """Whether there is nothing in the folders that kinolog manages. Raises StoreError."""
        ...

    async def list(self, prefix: str) -> list[StoredObject]:
        """Every object below `prefix`, sorted by key. Raises StoreError."""
        ...

    def walk(self, prefix: str) -> AsyncIterator[StoredObject]:
        """Every object below `prefix`, unsorted, page by page: for stores of any size. Raises StoreError."""
        ...

    async def delete_prefix(self, prefix: str) -> None:
        """Remove the object `prefix` and everything below it. A repeat is harmless. Raises StoreError."""
        ...

    async def sweep(self, now: float) -> int:
        """Remove incomplete writes that killed processes left; returns how many. Raises StoreError, OSError.

        `now`: seconds since the epoch, by a clock that does not run ahead: this machine's may be wrong.
        """
        ...


def open_store(
    url: str,
    *,
    mark: Mark = "ignored",
    retry_s: float = 60.0,
    public_endpoint: str | None = None,
    reserve: DiskReserve = NO_RESERVE,
) -> ObjectStore:
    """The store at `url`: "file:///folder", or a bucket, see BucketStore. Raises ValueError, OSError, BaseError.

    `reserve`: of the folder's disk.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return LocalStore(Path(unquote(parts.path)), reserve, mark)
    return BucketStore(url, mark=mark, retry_s=retry_s, public_endpoint=public_endpoint)

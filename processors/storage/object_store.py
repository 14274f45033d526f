"""The object store: a local folder, or a bucket by URL, behind one small interface."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from processors.storage import local_files
from processors.storage.keys import FOLDERS, IMMUTABLE, checked_key, content_type
from processors.storage.multipart_cleanup import Multipart, Multiparts, MultipartsUnavailable

log = logging.getLogger(__name__)

#: Bytes that leave the store in one piece.
_CHUNK_BYTES = 256 * 1024
#: Bytes that are gathered before they are written. Source: 8 MiB x S3's 10,000 parts = 78 GiB, above any upload.
_PART_BYTES = 8 * 1024**2
#: Files of a tree that travel to a bucket at a time, and parts of one file.
_UPLOADS = 8
_PARTS = 3
#: Tries to read one object, each going on where the one before it broke.
_FETCH_TRIES = 5
_FETCH_PAUSE_S = 0.5
#: Age at which what a killed process left on its way in is removed; a living upload stalls for seconds only.
STAGING_AGE_S = 6 * 3600.0
#: The same of a bucket, where the largest upload through the slowest line may take hours.
MULTIPART_AGE_S = 24 * 3600.0

T = TypeVar("T")


class StoreError(Exception):
    """The store cannot do it now: connection, permission, disk."""


class NotStored(StoreError):
    """There is no object with this key."""


class TooLarge(StoreError):
    """The stream has more bytes than were allowed."""


class Stored(NamedTuple):
    """One object."""

    key: str
    size_bytes: int
    #: Strong entity tag, with its quotes.
    etag: str
    modified_at: datetime


async def in_thread(work: Callable[..., T], *args: Any) -> T:
    """Run blocking `work` in a thread. Cancelled, it waits for its end: nothing goes on behind the caller's back."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


class Store:
    """Objects by key. `url` is "file:///folder" or what obstore understands, e.g. "s3://bucket/prefix".

    `public_endpoint`: address of the bucket's server in presigned addresses, where readers have another one than we.
    """

    def __init__(self, url: str, *, retry_s: float = 60.0, public_endpoint: str | None = None) -> None:
        parts = urlsplit(url)
        #: Folder of a local store, None otherwise.
        self.root: Path | None = Path(unquote(parts.path)) if parts.scheme == "file" else None
        if self.root is not None:
            self.root.mkdir(parents=True, exist_ok=True)
        self._objects: Any = from_url(url) if self.root is not None else _bucket(url, retry_s)
        is_public = self.root is None and public_endpoint is not None
        self._presigning: Any = _bucket(url, retry_s, public_endpoint) if is_public else self._objects
        self._multiparts = Multiparts.of(url)

    def local_path(self, key: str) -> Path | None:
        """The object as a file that tools can read, whether it exists or not; None for a bucket. Raises InvalidKey."""
        checked_key(key)
        return None if self.root is None else self.root / key

    async def head(self, key: str) -> Stored:
        """What is known of an object. Raises NotStored, InvalidKey, StoreError."""
        with _mapped(checked_key(key)):
            return _stored(await obstore.head_async(self._objects, key))

    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Bytes [start, end) of an object in pieces; `start` must lie below its size. Raises NotStored, StoreError."""
        wanted: Any = {"offset": start} if end is None else (start, end)
        with _mapped(checked_key(key)):
            answer = await obstore.get_async(self._objects, key, options={"range": wanted} if start or end else None)
            async for chunk in answer.stream(min_chunk_size=_CHUNK_BYTES):
                yield bytes(chunk)

    async def fetch(self, key: str, path: Path) -> None:
        """Write an object to the local file `path`; a body that is cut off is continued. Raises NotStored, StoreError.

        For objects that do not change: what is continued must be what was begun.
        """
        stored = await self.head(key)
        with await in_thread(path.open, "wb") as file:
            for left in reversed(range(_FETCH_TRIES)):
                try:
                    if file.tell() < stored.size_bytes:
                        async for part in _gathered(self.get(key, file.tell())):
                            await in_thread(file.write, part)
                    break
                except NotStored:
                    raise
                except StoreError:
                    if not left:
                        raise
                    await asyncio.sleep(_FETCH_PAUSE_S)
        if (await in_thread(path.stat)).st_size != stored.size_bytes:
            raise StoreError(f"{key} changed while it was read")

    async def put(self, key: str, chunks: AsyncIterable[bytes], max_bytes: int) -> Stored:
        """Store a stream; it appears whole or not at all, and a broken one leaves nothing behind, not even folders.

        Raises TooLarge beyond `max_bytes`, StoreError, and whatever `chunks` raises.
        """
        checked_key(key)
        counted = _limited(chunks, max_bytes)
        if self.root is not None:
            with _mapped(key):
                await self._put_file(self.root, key, counted)
        else:
            await self._put_object(key, counted)
        return await self.head(key)

    async def put_file(self, path: Path, key: str, attributes: Mapping[str, str] | None = None) -> None:
        """Store a local file; it appears whole or not at all. A local store takes the file itself. A repeat replaces.

        `attributes`: headers and metadata of a bucket's object, over the usual ones. Raises StoreError, OSError.
        """
        with _mapped(checked_key(key)):
            if self.root is not None:
                await in_thread(local_files.publish_file, path, self.root, key)
            else:
                await self._send(key, path, attributes)

    async def copy(self, key: str, target: str) -> None:
        """Make `target` an object with the same content, inside the store. Raises NotStored, StoreError."""
        checked_key(target)
        with _mapped(checked_key(key)):
            if self.root is not None:
                await in_thread(local_files.link_file, self.root / key, self.root, target)
            else:
                await obstore.copy_async(self._objects, key, target)

    async def publish_tree(self, folder: Path, prefix: str) -> None:
        """Store everything below `folder` under `prefix`; a local store takes the folder itself. A repeat replaces.

        Raises StoreError, UnexpectedFile for links and devices; then nothing stays under `prefix`.
        """
        checked_key(prefix)
        with _mapped(prefix):
            if self.root is not None:
                await in_thread(local_files.publish_folder, folder, self.root, prefix)
            else:
                await self._upload_tree(folder, prefix)

    async def presigned(self, method: Literal["GET", "PUT"], key: str, ttl_s: int) -> str:
        """An address that lets whoever has it read or write one object of a bucket for `ttl_s`. Raises StoreError."""
        return (await self.presigned_all(method, [key], ttl_s))[0]

    async def presigned_all(self, method: Literal["GET", "PUT"], keys: Sequence[str], ttl_s: int) -> Sequence[str]:
        """Addresses of many objects: ten times as fast as one after another. Raises StoreError."""
        with _mapped(", ".join(map(checked_key, keys))):
            if self.root is not None:
                raise StoreError("a local store has no addresses of its own")
            signed: Sequence[str] = await obstore.sign_async(self._presigning, method, keys, timedelta(seconds=ttl_s))
            return signed

    async def origin(self) -> str:
        """Scheme, host and port of presigned addresses, "https://host[:port]". Raises StoreError."""
        address = urlsplit(await self.presigned("GET", "origin", 1))
        return f"{address.scheme}://{address.netloc}"

    async def list(self, prefix: str) -> list[Stored]:
        """Every object below `prefix`, by key."""
        with _mapped(checked_key(prefix)):
            found = await obstore.list(self._objects, prefix).collect_async()
            return sorted(_stored(meta) for meta in found)

    async def walk(self, prefix: str) -> AsyncIterator[Stored]:
        """Every object below `prefix`, in no order, page by page: for stores of any size."""
        with _mapped(checked_key(prefix)):
            async for entries in obstore.list(self._objects, prefix):
                for meta in entries:
                    yield _stored(meta)

    async def delete_prefix(self, prefix: str) -> None:
        """Remove the object `prefix` and everything below it. A repeat is harmless."""
        with _mapped(checked_key(prefix)):
            if self.root is not None:
                await in_thread(local_files.remove_tree, self.root / prefix, self.root)
            else:
                keys = [prefix, *(entry.key for entry in await self.list(prefix))]
                await obstore.delete_async(self._objects, keys)

    async def sweep(self, now: float, older_than_s: float = STAGING_AGE_S) -> int:
        """Remove what killed processes left on its way into a folder; returns how much. Of buckets see `unfinished`.

        `now`: see `unfinished`.
        """
        if self.root is None:
            return 0
        return await in_thread(local_files.sweep, self.root / local_files.STAGING, now - older_than_s)

    async def unfinished(self, older_than_s: float, now: float) -> Sequence[Multipart] | None:
        """A bucket's multipart uploads below our folders that were begun so long ago and not ended.

        `now`: seconds since the epoch, by a clock that does not run ahead: this machine's may be wrong.
        None where they cannot be asked for: other stores, a role in place of keys, or one that may not ask.
        """
        if self._multiparts is None:
            return None
        before = now - older_than_s
        try:
            found = [one for top in FOLDERS async for one in self._multiparts.below(top)]
        except MultipartsUnavailable as error:
            log.warning("the bucket does not tell of its multipart uploads", extra={"reason": str(error)})
            return None
        return [one for one in found if one.begun_at.timestamp() <= before]

    async def end(self, begun: Iterable[Multipart]) -> None:
        """Forget the parts of these. A repeat is harmless. Raises StoreError."""
        for one in begun:
            assert self._multiparts is not None
            with _mapped(one.key):
                await self._multiparts.end(one)

    async def _put_file(self, root: Path, key: str, chunks: AsyncIterator[bytes]) -> None:
        path = await in_thread(local_files.staged, root)
        try:
            with path.open("wb") as file:
                async for part in _gathered(chunks):
                    await in_thread(file.write, part)
            await in_thread(local_files.move_into_place, path, root / key)
        except BaseException:
            await in_thread(path.unlink, True)
            raise

    async def _put_object(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        failed: list[Exception] = []
        try:
            with _mapped(key):
                await self._send(key, _remembered(chunks, failed))
        except StoreError as error:
            raise (failed[0] if failed else error) from error

    async def _send(
        self, key: str, source: Path | AsyncIterator[bytes], attributes: Mapping[str, str] | None = None
    ) -> None:
        await obstore.put_async(
            self._objects,
            key,
            source,
            attributes={"Content-Type": content_type(key), "Cache-Control": IMMUTABLE, **(attributes or {})},
            chunk_size=_PART_BYTES,
            max_concurrency=_PARTS,
        )

    async def _upload_tree(self, folder: Path, prefix: str) -> None:
        await in_thread(local_files.make_readable, folder)
        gate = asyncio.Semaphore(_UPLOADS)

        async def upload(path: Path) -> None:
            async with gate:
                await self._send(f"{prefix}/{path.relative_to(folder).as_posix()}", path)

        try:
            async with asyncio.TaskGroup() as group:
                for path in await in_thread(local_files.files_below, folder):
                    group.create_task(upload(path))
        except BaseException as error:
            await self.delete_prefix(prefix)
            if isinstance(error, BaseExceptionGroup):
                raise error.exceptions[0] from error
            raise


def _bucket(url: str, retry_s: float, endpoint: str | None = None) -> Any:
    """A bucket; where it is, unless by `endpoint`, and what opens it stands in the usual AWS variables."""
    if urlsplit(url).scheme == "memory":
        return from_url(url)
    retries: Any = {
        "max_retries": 12,
        "retry_timeout": timedelta(seconds=retry_s),
        "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5), "base": 2},
    }
    # A server of one's own may have no certificate; whoever names it so has decided that.
    plain = (endpoint or os.environ.get("AWS_ENDPOINT_URL", "")).startswith("http://")
    options: Any = {"allow_http": plain, "timeout": timedelta(hours=1), "connect_timeout": timedelta(seconds=10)}
    there: Any = {"endpoint": endpoint} if endpoint is not None else {}
    return from_url(url, client_options=options, retry_config=retries, **there)


def _stored(meta: Any) -> Stored:
    return Stored(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"])


@contextlib.contextmanager
def _mapped(key: str) -> Iterator[None]:
    """Errors of the store's libraries as ours; a full disk stays the OSError that says so."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotStored(f"there is no object {key}") from error
    except (BaseError, MultipartsUnavailable) as error:
        raise StoreError(f"the store cannot serve {key}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]


async def _limited(chunks: AsyncIterable[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise TooLarge(f"more than {max_bytes} bytes")
        yield chunk


async def _gathered(chunks: AsyncIterable[bytes], size_bytes: int = 1024**2) -> AsyncIterator[bytes]:
    """The same bytes in fewer pieces: a thread a megabyte, not a thread a packet."""
    waiting: list[bytes] = []
    size = 0
    async for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= size_bytes:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


async def _remembered(chunks: AsyncIterable[bytes], failed: list[Exception]) -> AsyncIterator[bytes]:
    """The same chunks; what they raise is kept, because it does not come back through the store's library whole."""
    try:
        async for chunk in chunks:
            yield chunk
    except Exception as error:
        failed.append(error)
        raise

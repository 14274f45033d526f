"""An object store in a bucket, by URL."""

import asyncio
import logging
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import obstore
from obstore.store import from_url

from processors.storage import local_files
from processors.storage.byte_streams import limited, recording_errors
from processors.storage.errors import ObjectNotFound, StoreError, mapped_errors
from processors.storage.keys import FOLDERS, IMMUTABLE, checked_key, content_type
from processors.storage.multipart_uploads import MultipartUpload, MultipartUploads
from processors.storage.object_reader import Mark, ObjectReader, StoredObject
from processors.storage.s3_requests import S3Refused, S3Requests
from processors.threads import in_thread

log = logging.getLogger(__name__)

#: Size of one part of an upload. Source: 8 MiB x S3's 10,000 parts = 78 GiB, above any upload.
_PART_BYTES = 8 * 1024**2
#: Files of a tree that are uploaded at a time, and parts of one file.
_UPLOADS = 8
_PARTS = 3
#: Age at which a multipart upload counts as abandoned; the largest one on a slow connection takes hours.
MULTIPART_AGE_S = 24 * 3600.0


class BucketStore(ObjectReader):
    """Objects of a bucket, e.g. "s3://bucket/prefix", or of "memory:///" in tests.

    `retry_s`: how long a request is retried. `public_endpoint`: URL of the bucket's server in presigned URLs, where
    readers reach it by another one.
    """

    def __init__(
        self, url: str, *, mark: Mark = "ignored", retry_s: float = 60.0, public_endpoint: str | None = None
    ) -> None:
        super().__init__(_bucket(url, retry_s), mark)
        self._presigning: Any = _bucket(url, retry_s, public_endpoint) if public_endpoint else self._objects
        requests = S3Requests.of(url)
        self._multipart_uploads = MultipartUploads(requests) if requests is not None else None

    async def head(self, key: str) -> StoredObject:
        """See ObjectStore. Without the bucket there is no answer, not even that the object is missing."""
        try:
            return await super().head(key)
        except ObjectNotFound:
            async with self._found(key):  # the answer to HEAD has no body, so no reason
                await obstore.get_async(self._objects, key)
            raise

    async def put(self, key: str, chunks: AsyncIterable[bytes], max_bytes: int) -> StoredObject:
        """See ObjectStore."""
        checked_key(key)
        errors: list[Exception] = []
        try:
            with mapped_errors(key):
                await self._upload(key, recording_errors(limited(chunks, max_bytes), errors))
        except StoreError as error:
            raise (errors[0] if errors else error) from error
        return await self.head(key)

    async def put_file(self, path: Path, key: str, attributes: Mapping[str, str] | None = None) -> None:
        """See ObjectStore."""
        with mapped_errors(checked_key(key)):
            await self._upload(key, path, attributes)

    async def copy(self, key: str, target: str) -> None:
        """See ObjectStore."""
        checked_key(target)
        async with self._found(key):
            await obstore.copy_async(self._objects, key, target)

    async def publish_tree(self, folder: Path, prefix: str) -> None:
        """See ObjectStore."""
        with mapped_errors(checked_key(prefix)):
            await in_thread(local_files.make_readable, folder)
            try:
                await self._upload_tree(folder, prefix)
            except BaseException as error:
                await self.delete_prefix(prefix)
                if isinstance(error, BaseExceptionGroup):
                    raise error.exceptions[0] from error
                raise

    async def delete_prefix(self, prefix: str) -> None:
        """See ObjectStore."""
        with mapped_errors(checked_key(prefix)):
            keys = [prefix, *(entry.key for entry in await self.list(prefix))]
            if keys == [prefix]:
                await self.require_there()
            await obstore.delete_async(self._objects, keys)

    async def presigned(self, method: Literal["GET", "PUT"], key: str, ttl_s: int) -> str:
        """A presigned URL: whoever has it can read or write one object for `ttl_s`. Raises StoreError."""
        return (await self.presigned_all(method, [key], ttl_s))[0]

    async def presigned_all(self, method: Literal["GET", "PUT"], keys: Sequence[str], ttl_s: int) -> Sequence[str]:
        """Presigned URLs of many objects: ten times as fast as one after another. Raises StoreError."""
        with mapped_errors(", ".join(map(checked_key, keys))):
            signed: Sequence[str] = await obstore.sign_async(self._presigning, method, keys, timedelta(seconds=ttl_s))
            return signed

    async def origin(self) -> str:
        """Scheme, host and port of presigned URLs, "https://host[:port]". Raises StoreError."""
        url = urlsplit(await self.presigned("GET", "origin", 1))
        return f"{url.scheme}://{url.netloc}"

    async def sweep(self, now: float, older_than_s: float = MULTIPART_AGE_S) -> int:
        """See ObjectStore. Aborts multipart uploads."""
        abandoned = await self.multipart_uploads(older_than_s, now) or ()
        await self.abort(abandoned)
        return len(abandoned)

    async def multipart_uploads(self, older_than_s: float, now: float) -> Sequence[MultipartUpload] | None:
        """Incomplete multipart uploads below kinolog's folders that are older than `older_than_s`.

        `now`: see ObjectStore.sweep. None where they cannot be listed: not S3, a role in place of keys, no permission.
        """
        if self._multipart_uploads is None:
            return None
        before = now - older_than_s
        try:
            uploads = [one for top in FOLDERS async for one in self._multipart_uploads.below(top)]
        except S3Refused as error:
            log.warning("multipart uploads of the bucket cannot be listed", extra={"reason": str(error)})
            return None
        return [one for one in uploads if one.started_at.timestamp() <= before]

    async def abort(self, uploads: Iterable[MultipartUpload]) -> None:
        """Remove the parts of these uploads. A repeat is harmless. Raises StoreError."""
        for one in uploads:
            assert self._multipart_uploads is not None
            try:
                await self._multipart_uploads.abort(one)
            except S3Refused as error:
                raise StoreError(f"the multipart upload of {one.key} cannot be aborted: {error}") from error

    async def _upload(
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
        uploads = asyncio.Semaphore(_UPLOADS)

        async def upload(path: Path) -> None:
            async with uploads:
                await self._upload(f"{prefix}/{path.relative_to(folder).as_posix()}", path)

        async with asyncio.TaskGroup() as group:
            for path in await in_thread(local_files.files_below, folder):
                group.create_task(upload(path))


def _bucket(url: str, retry_s: float, endpoint: str | None = None) -> Any:
    """The obstore store of a bucket; its endpoint, unless given, and its credentials come from the AWS variables."""
    if urlsplit(url).scheme == "memory":
        return from_url(url)
    retries: Any = {
        "max_retries": 12,
        "retry_timeout": timedelta(seconds=retry_s),
        "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5), "base": 2},
    }
    # A self-hosted server may have no certificate; an http:// endpoint is the operator's decision.
    plain = (endpoint or os.environ.get("AWS_ENDPOINT_URL", "")).startswith("http://")
    options: Any = {"allow_http": plain, "timeout": timedelta(hours=1), "connect_timeout": timedelta(seconds=10)}
    location: Any = {"endpoint": endpoint} if endpoint is not None else {}
    return from_url(url, client_options=options, retry_config=retries, **location)

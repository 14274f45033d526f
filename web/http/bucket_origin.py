"""The origin of the bucket that players are redirected to: the page's content security policy must name it."""

import asyncio
import logging
import time

from processors.storage.bucket_store import BucketStore
from processors.storage.errors import StoreError
from processors.storage.object_store import ObjectStore

log = logging.getLogger("kinolog.web")

#: Longest wait, as credentials may first come from the metadata service, and pause after a failure, seconds.
_FIND_S, _RETRY_S = 2.0, 10.0


class BucketOrigin:
    """Finds the origin once, from a presigned URL: right for path style, virtual hosts and custom endpoints."""

    def __init__(self, store: ObjectStore, *, redirect: bool) -> None:
        self._store = store if redirect and isinstance(store, BucketStore) else None
        self._found: str | None = None
        self._retry_at = float("-inf")

    async def find(self) -> str | None:
        """Scheme, host and port; None without redirects, or while the origin cannot be found."""
        if self._store is not None and self._found is None and time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + _RETRY_S
            try:
                async with asyncio.timeout(_FIND_S):
                    self._found = await self._store.origin()
            except (StoreError, TimeoutError) as error:
                log.warning("bucket origin unknown, the page cannot show media", extra={"error": str(error)})
        return self._found

"""The origin of the bucket that readers are sent to: the page's content policy must name it."""

import asyncio
import logging
import time

from processors.storage.bucket_store import BucketStore
from processors.storage.errors import StoreError
from processors.storage.object_store import ObjectStore

log = logging.getLogger("kinolog.web")

#: Keys may have to be fetched from the machine's own service first: longest wait, and pause after a failure, seconds.
_FIND_S, _AGAIN_S = 2.0, 10.0


class BucketOrigin:
    """Finds it once: presigned addresses have it, whatever made them (path style, virtual hosts, an endpoint)."""

    def __init__(self, store: ObjectStore, *, redirect: bool) -> None:
        self._store = store if redirect and isinstance(store, BucketStore) else None
        self._found: str | None = None
        self._again_at = float("-inf")

    async def find(self) -> str | None:
        """Scheme, host and port; None where readers are sent nowhere, or it cannot be found now."""
        if self._store is not None and self._found is None and time.monotonic() >= self._again_at:
            self._again_at = time.monotonic() + _AGAIN_S
            try:
                async with asyncio.timeout(_FIND_S):
                    self._found = await self._store.origin()
            except (StoreError, TimeoutError) as error:
                log.warning("bucket origin unknown, the page cannot show media", extra={"error": str(error)})
        return self._found

"""Presence: whether a store is there, or the placeholder of a volume that is not mounted."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from processors.storage.errors import StoreAbsent, StoreError
from processors.storage.local_store import LocalStore
from processors.storage.object_store import ObjectStore

log = logging.getLogger(__name__)

#: Seconds between looks at a store that is there: a folder, and a bucket, where each is a request.
_FOLDER_S, _BUCKET_S = 2.0, 60.0
#: Longest look, seconds: neither a start nor readiness waits for a store that is away.
_ANSWER_S = 5.0

#: Returns if the store is this installation's, and marks a new one. Raises StoreError, OSError.
Claim = Callable[[], Awaitable[None]]


class Presence:
    """Whether a store is there, as it was last looked at."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        #: Why it is not there; None where it is. One that does not answer is there: whoever uses it says so.
        self.absence: str | None = "the object store has not been looked at yet"
        self._answers = True

    def pause_s(self, absent_s: float) -> float:
        """Seconds until the next look; `absent_s` while it is not there."""
        if self.absence is not None:
            return absent_s
        return _FOLDER_S if isinstance(self._store, LocalStore) else _BUCKET_S

    async def look(self, claim: Claim | None = None) -> None:
        """Look once, and log what has changed. Without a mark the store is new, or not there: `claim` knows."""
        before, self.absence = self.absence, await self._look(claim)
        if self.absence is not None and self.absence != before:
            log.warning("the store is not there", extra={"reason": self.absence})
        elif self.absence is None and before is not None:
            log.info("the store is there")

    async def _look(self, claim: Claim | None) -> str | None:
        answered, self._answers = self._answers, True
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._require_there(claim)
        except StoreAbsent as error:
            return str(error)
        except (StoreError, OSError) as error:  # TimeoutError is one
            self._answers = False
            if answered:
                log.warning("the store cannot be looked at", extra={"error": str(error) or "no answer"})
        return None

    async def _require_there(self, claim: Claim | None) -> None:
        try:
            await self._store.require_there()
        except StoreAbsent:
            if claim is None:
                raise
            await claim()

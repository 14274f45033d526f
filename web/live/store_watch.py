"""StoreWatch: whether the object store is there, or the placeholder of a volume that is not mounted."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from processors.storage.errors import StoreAbsent, StoreError
from processors.storage.local_store import LocalStore
from processors.storage.object_store import ObjectStore
from web.http.problems import Problem

log = logging.getLogger("kinolog.web")

#: Seconds between looks: at a folder or while it is not there, and at a bucket, where each is a request.
_OFTEN_S, _SELDOM_S = 2.0, 60.0
#: Longest look, seconds: readiness does not wait for a store that is away.
_ANSWER_S = 5.0

#: Returns if the store is this installation's, and marks a new one. Raises StoreError, Problem, OSError.
Claim = Callable[[], Awaitable[None]]


class StoreWatch:
    """Looks from time to time whether the store is there, for readiness."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._trouble: str | None = "the object store has not been looked at yet"
        self._answers = True

    def troubles(self) -> list[str]:
        """Why the store cannot be used."""
        return [] if self._trouble is None else [self._trouble]

    async def run(self, claim: Claim) -> None:
        """Look until cancelled."""
        while True:
            await self.look(claim)
            is_cheap = isinstance(self._store, LocalStore) or self._trouble is not None
            await asyncio.sleep(_OFTEN_S if is_cheap else _SELDOM_S)

    async def look(self, claim: Claim) -> None:
        """Look once. Without a mark the store is new, or not there: `claim` knows."""
        before, self._trouble = self._trouble, await self._found(claim)
        if self._trouble is not None and self._trouble != before:
            log.error("the store is not there", extra={"reason": self._trouble})
        elif self._trouble is None and before is not None:
            log.info("the store is there")

    async def _found(self, claim: Claim) -> str | None:
        answered, self._answers = self._answers, True
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._marked(claim)
        except StoreAbsent as error:
            return str(error)
        except (StoreError, OSError, Problem) as error:  # it does not answer in time, or is another installation's
            self._answers = False
            if answered:
                log.warning("the store cannot be looked at", extra={"error": str(error) or "no answer"})
        return None

    async def _marked(self, claim: Claim) -> None:
        try:
            await self._store.require_there()
        except StoreAbsent:
            await claim()

"""StorePresence: whether the store is there. Without it an executor offers no slots.

On the placeholder of a volume that is not mounted, every source is missing: such an executor would fail all jobs, and
as each takes no time there, it would get most of them.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from agents.executor.session import ExecutorSession
from processors.storage.errors import StoreAbsent, StoreError
from processors.storage.local_store import LocalStore
from processors.storage.object_store import ObjectStore

log = logging.getLogger(__name__)

#: Seconds between looks: while the store is not there (a new one is marked within a moment), at a folder, and at a
#: bucket, where each is a request.
_ABSENT_S, _FOLDER_S, _BUCKET_S = 0.2, 2.0, 60.0
#: Longest look, seconds: a start does not wait for a store that is away.
_ANSWER_S = 5.0


class StorePresence:
    """Looks from time to time whether the store is there, and tells the session."""

    def __init__(self, store: ObjectStore, session: ExecutorSession, on_marked: Callable[[], Awaitable[None]]) -> None:
        """`on_marked` is called once the store has been seen with its mark. Raises OSError."""
        self._store, self._session, self._on_marked = store, session, on_marked
        self._is_remembered = False
        session.has_store = False
        self._is_told, self._answers = False, True

    async def run(self) -> None:
        """Look again and again until cancelled; the first look was the caller's."""
        while True:
            present_s = _FOLDER_S if isinstance(self._store, LocalStore) else _BUCKET_S
            await asyncio.sleep(present_s if self._session.has_store else _ABSENT_S)
            await self.look()

    async def look(self) -> None:
        """Look once. A store that does not answer is there: attempts say so, and are tried again."""
        answered, self._answers = self._answers, True
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._store.require_there()
        except StoreAbsent as error:
            self._note(has_store=False)
            if not self._is_told:
                self._is_told = True
                log.warning("no work is accepted: the store is not there", extra={"reason": str(error)})
            return
        except (StoreError, OSError) as error:  # TimeoutError is one
            self._answers = False
            if answered:
                log.warning("the store cannot be looked at", extra={"error": str(error) or "no answer"})
        if self._is_told:
            self._is_told = False
            log.info("the store is there")
        self._note(has_store=True)
        await self._remember()

    async def _remember(self) -> None:
        if self._store.mark == "required" and not self._is_remembered:
            with contextlib.suppress(OSError):  # a full disk: the next look tries again
                await self._on_marked()
                self._is_remembered = True

    def _note(self, *, has_store: bool) -> None:
        if self._session.has_store != has_store:
            self._session.has_store = has_store
            self._session.change()

"""StorePresence: whether the store is there. Without it an executor offers no slots.

On the placeholder of a volume that is not mounted, every source is missing: such an executor would fail all jobs, and
as each takes no time there, it would get most of them.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from agents.executor.session import ExecutorSession
from processors.storage.object_store import ObjectStore
from processors.storage.presence import Presence

#: Seconds between looks while the store is not there: a new one is marked within a moment.
_ABSENT_S = 0.2


class StorePresence:
    """Looks from time to time whether the store is there, and tells the session."""

    def __init__(self, store: ObjectStore, session: ExecutorSession, on_marked: Callable[[], Awaitable[None]]) -> None:
        """`on_marked` is called once the store has been seen with its mark. Raises OSError."""
        self._store, self._session, self._on_marked = store, session, on_marked
        self._presence, self._is_remembered = Presence(store), False
        session.has_store = False

    async def run(self) -> None:
        """Look again and again until cancelled; the first look was the caller's."""
        while True:
            await asyncio.sleep(self._presence.pause_s(_ABSENT_S))
            await self.look()

    async def look(self) -> None:
        """Look once. A store that does not answer is there: attempts say so, and are tried again."""
        await self._presence.look()
        has_store = self._presence.absence is None
        if self._session.has_store != has_store:
            self._session.has_store = has_store
            self._session.change()
        if has_store:
            await self._remember()

    async def _remember(self) -> None:
        if self._store.mark == "required" and not self._is_remembered:
            with contextlib.suppress(OSError):  # a full disk: the next look tries again
                await self._on_marked()
                self._is_remembered = True

"""StoreWatch: whether the object store is there, for readiness."""

import asyncio

from processors.storage.errors import StoreError
from processors.storage.object_store import ObjectStore
from processors.storage.presence import Claim, Presence
from web.http.problems import Problem

#: Seconds between looks while the store is not there.
_ABSENT_S = 2.0


class StoreWatch:
    """Looks from time to time whether the store is there."""

    def __init__(self, store: ObjectStore) -> None:
        self._presence = Presence(store)

    def troubles(self) -> list[str]:
        """Why the store cannot be used."""
        return [] if self._presence.absence is None else [self._presence.absence]

    async def run(self, claim: Claim) -> None:
        """Look until cancelled. `claim` may raise Problem, too."""

        async def claimed() -> None:
            try:
                await claim()
            except Problem as problem:  # it is another installation's: whoever removes something says so
                raise StoreError(str(problem)) from problem

        while True:
            await self._presence.look(claimed)
            await asyncio.sleep(self._presence.pause_s(_ABSENT_S))

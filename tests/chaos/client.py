"""The HTTP client of a chaos run: asks any replica, and again until one decides."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import aiohttp

from tests.chaos.callers import Caller
from tests.chaos.ledger import Ledger

#: Longest that one request is tried again after the last fault; every fault of a schedule is shorter.
PATIENCE_S = 75.0
PAUSE_S = 0.5
#: Answers that ask to be asked again.
_LATER = (429, 503, 507)


class Client:
    """One connection pool for all callers. `chance` picks the replica; a request is tried again for `patience_s`."""

    def __init__(self, urls: Mapping[str, str], ledger: Ledger, chance: random.Random, patience_s: float) -> None:
        self._urls, self._ledger, self._chance, self._patience_s = dict(urls), ledger, chance, patience_s
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open it."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))

    async def stop(self) -> None:
        """Close it."""
        if self._session is not None:
            await self._session.close()

    async def call(self, caller: Caller, method: str, path: str, **given: Any) -> tuple[int | None, dict[str, Any]]:
        """Status and body of the first response that decides, from any replica; None when there was none in time."""
        assert self._session is not None
        headers = {"Authorization": f"Bearer {caller.token}", **given.pop("headers", {})}
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while asyncio.get_running_loop().time() < deadline:
            name, url = self._chance.choice(list(self._urls.items()))
            try:
                async with self._session.request(method, url + path, headers=headers, **given) as answer:
                    body = await answer.json(content_type=None)
                    if answer.status >= 500:
                        self._ledger.note("answer", replica=name, path=path, status=answer.status, code=body["code"])
                    if answer.status not in _LATER:
                        return answer.status, body
            except (aiohttp.ClientError, TimeoutError):
                pass  # that replica is down: the other one is asked, or it later
            await asyncio.sleep(PAUSE_S)
        return None, {}

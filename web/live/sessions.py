"""Live connections and their callers: a connection is closed within a second after its token expires or is revoked."""

import asyncio
import contextlib
from collections.abc import Iterator

from streams.process.turns import in_turns
from web.auth.middleware import Authenticator
from web.auth.principal import Principal
from web.live.client import Client, CloseReason

TOKEN_ENDED = CloseReason(4001, "TokenEnded")
_CHECK_S = 1.0
#: Connections that are checked at a time.
_PART = 250


class Sessions:
    """All live connections of this replica."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._open: dict[Client, Principal] = {}

    @contextlib.contextmanager
    def watched(self, client: Client, principal: Principal) -> Iterator[None]:
        """Check the caller's token for as long as the connection is open."""
        self._open[client] = principal
        try:
            yield
        finally:
            del self._open[client]

    async def run(self) -> None:
        """Check all tokens periodically until cancelled."""
        while True:
            async for client, principal in in_turns(list(self._open.items()), _PART):
                if not self._authenticator.is_still_valid(principal):
                    client.close(TOKEN_ENDED)
            await asyncio.sleep(_CHECK_S)

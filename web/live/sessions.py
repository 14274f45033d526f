"""Live connections and whose they are: one whose token has ended or was revoked is let go within a second."""

import asyncio
import contextlib
from collections.abc import Iterator

from web.auth.middleware import Authenticator
from web.auth.principal import Principal
from web.live.hub import Client, CloseReason

TOKEN_ENDED = CloseReason(4001, "TokenEnded")
_LOOK_S = 1.0


class Sessions:
    """Every live connection of this replica."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._open: dict[Client, Principal] = {}

    @contextlib.contextmanager
    def watched(self, client: Client, principal: Principal) -> Iterator[None]:
        """While it is open."""
        self._open[client] = principal
        try:
            yield
        finally:
            del self._open[client]

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            for client, principal in list(self._open.items()):
                if not self._authenticator.is_still_valid(principal):
                    client.dismiss(TOKEN_ENDED)
            await asyncio.sleep(_LOOK_S)

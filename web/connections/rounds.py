"""Rounds of the event loop: in each, one of the connections whose bytes have arrived is looked at, sources in turn.

An event loop takes all sockets that are readable, up to a thousand, before it looks at anything else. Measured: 300
connections of one client that send at the same moment kept everybody else waiting for 15 to 30 ms, ten times a second.
"""

import asyncio

from web.connections.source_queue import GoOn, SourceQueue

#: Connections that are looked at in a round: each costs up to half a millisecond, with the request that it brings, and
#: a request needs some five rounds.
_LOOKS = 1


class Rounds:
    """Which connections have their look in this round, and which wait for the next ones."""

    def __init__(self) -> None:
        self._waiting = SourceQueue()
        self._left = _LOOKS
        self._next_round: asyncio.Handle | None = None

    def enter(self) -> bool:
        """Whether a connection may be looked at in this round."""
        if self._next_round is None:
            self._next_round = asyncio.get_running_loop().call_soon(self._begin)
        self._left -= 1
        return self._left >= 0

    def join(self, source: str, go_on: GoOn) -> None:
        """Call `go_on` once, in a later round. Follows an `enter` that was False. Joining twice is harmless."""
        self._waiting.join(source, go_on)

    def leave(self, source: str, go_on: GoOn) -> None:
        """Give up the connection's place, if it has one."""
        self._waiting.leave(source, go_on)

    def _begin(self) -> None:
        self._next_round, self._left = None, _LOOKS
        while self._left and (go_on := self._waiting.pop()) is not None:
            self.enter()
            go_on()

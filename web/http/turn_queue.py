"""The queue of connections that wait until they may be parsed: one timer for all of them, and sources in turn.

With a timer for each, all of them looked at every turn, and one of them had it: 100 connections took 0.4 of a core.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from web.http.read_turns import ReadTurns

#: Goes on with a connection.
GoOn = Callable[[], None]


class TurnQueue:
    """Connections of sources that are dear to parse. Each has one place, and loses it with its turn."""

    def __init__(self, turns: ReadTurns) -> None:
        self.turns = turns
        #: By source; sources and their connections in the order of their turns.
        self._waiting: OrderedDict[str, OrderedDict[GoOn, None]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def join(self, source: str, go_on: GoOn) -> None:
        """Call `go_on` once, when it is the connection's turn. Joining twice is harmless."""
        self._waiting.setdefault(source, OrderedDict())[go_on] = None
        self._arm()

    def leave(self, source: str, go_on: GoOn) -> None:
        """Give up the connection's place, if it has one."""
        connections = self._waiting.get(source, OrderedDict())
        connections.pop(go_on, None)
        if not connections:
            self._waiting.pop(source, None)

    def _arm(self) -> None:
        if self._timer is None and self._waiting:
            loop = asyncio.get_running_loop()
            wait_s = self.turns.wait_s(next(iter(self._waiting)), loop.time())
            self._timer = loop.call_later(wait_s, self._take_turn)

    def _take_turn(self) -> None:
        self._timer = None
        try:
            if self._waiting:
                self._next()
        finally:
            self._arm()

    def _next(self) -> None:
        source, connections = next(iter(self._waiting.items()))
        if self.turns.wait_s(source, asyncio.get_running_loop().time()) > 0.0:
            return
        go_on, _ = connections.popitem(last=False)
        if connections:
            self._waiting.move_to_end(source)
        else:
            del self._waiting[source]
        go_on()

"""The queue of connections that wait until they may be parsed: one timer for all of them, and sources in turn.

With a timer for each, all of them looked at every turn, and one of them had it: 100 connections took 0.4 of a core.
"""

import asyncio

from web.connections.read_turns import ReadTurns
from web.connections.source_queue import GoOn, SourceQueue

#: The resolution of timers, seconds: a shorter wait would be none, again and again. Source: libuv, uv_timer_start.
_TICK_S = 0.001


class TurnQueue:
    """Connections of sources that are dear to parse. Each has one place, and loses it with its turn."""

    def __init__(self, turns: ReadTurns) -> None:
        self.turns = turns
        self._waiting = SourceQueue()
        self._timer: asyncio.TimerHandle | None = None

    def join(self, source: str, go_on: GoOn) -> None:
        """Call `go_on` once, when it is the connection's turn. Joining twice is harmless."""
        self._waiting.join(source, go_on)
        self._arm()

    def leave(self, source: str, go_on: GoOn) -> None:
        """Give up the connection's place, if it has one."""
        self._waiting.leave(source, go_on)

    def _arm(self) -> None:
        if self._timer is None and self._waiting:
            loop = asyncio.get_running_loop()
            wait_s = self.turns.wait_s(self._waiting.first, loop.time())
            self._timer = loop.call_later(max(wait_s, _TICK_S), self._take_turn)

    def _take_turn(self) -> None:
        self._timer = None
        try:
            if self._waiting and self.turns.wait_s(self._waiting.first, asyncio.get_running_loop().time()) == 0.0:
                go_on = self._waiting.pop()
                assert go_on is not None
                go_on()
        finally:
            self._arm()

"""Turns of addresses at having what they send parsed. Pure; the time is an argument.

Parsing normally takes some 10 us for 16 KiB. Bodies in chunks of one byte take 4 ms, and eight senders of them kept
everybody else waiting for a second. Who costs so much waits nine times as long as it took, with all of its connections.
"""

#: Bytes that are parsed at a time.
PIECE_BYTES = 16 * 1024
#: A turn, seconds: then other connections have theirs.
TURN_S = 0.001
#: Time for a piece that is nobody's concern, seconds.
_FREE_S = 0.001
#: A sender's share of the event loop is one part in so many.
_SHARE = 10
#: Sources beyond which those whose turn has come are forgotten.
_MOST = 10_000


class ReadTurns:
    """When each source may be read from again."""

    def __init__(self) -> None:
        self._from: dict[str, float] = {}

    def charge(self, source: str, took_s: float, now: float) -> None:
        """Note that parsing a piece of the source took so long."""
        if took_s < _FREE_S:
            return
        if len(self._from) >= _MOST:
            self._from = {other: at for other, at in self._from.items() if at > now}
        self._from[source] = max(now, self._from.get(source, now)) + took_s * (_SHARE - 1)

    def wait_s(self, source: str, now: float) -> float:
        """Seconds until the next piece of the source may be parsed; 0: now."""
        if (at := self._from.get(source)) is None:
            return 0.0
        if at <= now:
            del self._from[source]
            return 0.0
        return at - now

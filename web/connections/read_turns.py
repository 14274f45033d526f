"""Turns of addresses at having what they send parsed. Pure; the time is an argument.

Parsing normally takes some 10 us for 16 KiB. Bodies in chunks of one byte take 4 ms, and eight senders of them kept
everybody else waiting for a second. What such sources send is parsed in small pieces, and after each of them all such
sources wait nine times as long as it took: one that has many addresses has no larger share.
"""

#: Bytes that are parsed at a time, and of a source that is dear to parse.
PIECE_BYTES, _SMALL_BYTES = 16 * 1024, 1024
#: A turn, seconds: then other connections have theirs.
TURN_S = 0.001
#: Time for a whole piece that is nobody's concern, seconds.
_FREE_S = 0.001
#: The share that dear sources have of the event loop, together, is one part in so many.
_SHARE = 10
#: Seconds for which a source counts as dear after the last dear piece.
_DEAR_S = 5.0
#: Sources beyond which those that are dear no more are forgotten.
_MOST = 10_000


class ReadTurns:
    """When each source may be read from again, and how much of it at a time."""

    def __init__(self) -> None:
        #: Until when each source counts as dear.
        self._dear: dict[str, float] = {}
        #: When the next piece of a dear source may be parsed.
        self._next_at = 0.0

    def piece_bytes(self, source: str) -> int:
        """Bytes of the source that may be parsed at a time."""
        return _SMALL_BYTES if source in self._dear else PIECE_BYTES

    def charge(self, source: str, took_s: float, size: int, now: float) -> None:
        """Note that parsing so many bytes of the source took so long."""
        until = self._dear.get(source)
        if took_s < _FREE_S and (until is None or took_s * PIECE_BYTES < _FREE_S * size):
            return
        if until is None:
            self._forget(now)
        if until is None or took_s >= _FREE_S or size >= _SMALL_BYTES // 2:  # a short request is dear by the byte, too
            self._dear[source] = now + _DEAR_S
        self._next_at = max(now, self._next_at) + took_s * (_SHARE - 1)

    def wait_s(self, source: str, now: float) -> float:
        """Seconds until the next piece of the source may be parsed; 0: now."""
        until = self._dear.get(source)
        if until is None:
            return 0.0
        if until <= now:
            del self._dear[source]
            return 0.0
        return max(min(self._next_at, until) - now, 0.0)

    def _forget(self, now: float) -> None:
        if len(self._dear) >= _MOST:
            self._dear = {source: until for source, until in self._dear.items() if until > now}
        if len(self._dear) >= _MOST:
            self._dear.clear()

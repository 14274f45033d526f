"""Turns of addresses at having what they send parsed. Pure; the time is an argument.

Parsing normally takes some 10 us for 16 KiB. Bodies in chunks of one byte take 4 ms, and eight senders of them kept
everybody else waiting for a second. What such a source sends is parsed in small pieces, and it waits nine times as long
as each took, with all of its connections.
"""

from typing import NamedTuple

#: Bytes that are parsed at a time, and of a source that is dear to parse.
PIECE_BYTES, _SMALL_BYTES = 16 * 1024, 1024
#: A turn, seconds: then other connections have theirs.
TURN_S = 0.001
#: Time for a whole piece that is nobody's concern, seconds.
_FREE_S = 0.001
#: A dear source's share of the event loop is one part in so many.
_SHARE = 10
#: Seconds for which a source counts as dear after the last dear piece.
_DEAR_S = 5.0
#: Sources beyond which those that are dear no more are forgotten.
_MOST = 10_000


class _Dear(NamedTuple):
    """A source that is dear to parse: when it may be parsed again, and until when it counts as such."""

    next_at: float
    until: float


class ReadTurns:
    """When each source may be read from again, and how much of it at a time."""

    def __init__(self) -> None:
        self._dear: dict[str, _Dear] = {}

    def piece_bytes(self, source: str) -> int:
        """Bytes of the source that may be parsed at a time."""
        return _SMALL_BYTES if source in self._dear else PIECE_BYTES

    def charge(self, source: str, took_s: float, size: int, now: float) -> None:
        """Note that parsing so many bytes of the source took so long."""
        known = self._dear.get(source)
        if took_s < _FREE_S and (known is None or took_s * PIECE_BYTES < _FREE_S * size):
            return
        if known is None:
            self._forget(now)
        next_at, until = known or _Dear(now, 0.0)
        if took_s >= _FREE_S or size >= _SMALL_BYTES // 2:  # a short request is dear by the byte, too
            until = now + _DEAR_S
        self._dear[source] = _Dear(max(now, next_at) + took_s * (_SHARE - 1), until)

    def wait_s(self, source: str, now: float) -> float:
        """Seconds until the next piece of the source may be parsed; 0: now."""
        if (known := self._dear.get(source)) is None:
            return 0.0
        if max(known) <= now:
            del self._dear[source]
        return max(known.next_at - now, 0.0)

    def _forget(self, now: float) -> None:
        if len(self._dear) >= _MOST:
            self._dear = {source: one for source, one in self._dear.items() if max(one) > now}
        if len(self._dear) >= _MOST:
            self._dear.clear()

"""Limits on the messages of clients on live connections: clients send pings, and few. The time is an argument."""

from web.http.token_bucket import Buckets

#: Of one connection.
_PER_S, _BURST = 5.0, 100.0
#: Of all connections of one caller together: a flood over many costs no more than one over a few.
_CALLER_PER_S, _CALLER_BURST = 50.0, 400.0
#: Seconds in which a caller whose connection was closed for a flood opens no other one.
_PENALTY_S = 10.0


class MessageLimit:
    """The messages of one connection."""

    def __init__(self, limits: "MessageLimits", caller: str) -> None:
        self._limits, self._caller, self._own = limits, caller, Buckets(remembered=1)

    def allows(self, now: float) -> bool:
        """Count a message. False: the connection must be closed, and the caller opens no other one for a while."""
        if self._own.wait_s("", now, per_s=_PER_S, burst=_BURST) == 0 and self._limits.take(self._caller, now):
            return True
        self._limits.punish(self._caller, now)
        return False


class MessageLimits:
    """The messages of all connections, by caller."""

    def __init__(self) -> None:
        self._messages, self._penalties = Buckets(), Buckets()

    def of(self, caller: str) -> MessageLimit:
        """The limit of a new connection."""
        return MessageLimit(self, caller)

    def take(self, caller: str, now: float) -> bool:
        """Count a message of a caller. Whether it is allowed."""
        return self._messages.wait_s(caller, now, per_s=_CALLER_PER_S, burst=_CALLER_BURST) == 0

    def punish(self, caller: str, now: float) -> None:
        """The caller floods."""
        self._penalties.wait_s(caller, now, per_s=1 / _PENALTY_S, burst=1.0)

    def refused_s(self, caller: str, now: float) -> float:
        """Seconds until the caller may open connections; 0.0: now."""
        return (1.0 - self._penalties.level(caller, now, per_s=1 / _PENALTY_S, burst=1.0)) * _PENALTY_S

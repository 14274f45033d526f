"""How a new dispatcher learns what was given before it, as phases. Until the last one it gives nothing.

loading: rows and reports are read. poking: every session is poked through the partition that it reads, and answers
after all requests that lie before the poke. reading: step events are read to the end as it is after the answers, so
every acceptance of such a request is known. Without the last phase 7 jobs ran twice in the prototype.
"""

from collections.abc import Iterable

from tables.dispatch.values import Phase


class Startup:
    """The phase, and who has not answered yet."""

    def __init__(self, poke: int, poke_s: float) -> None:
        self.poke, self._poke_s = poke, poke_s
        self.phase: Phase = "loading"
        self._unanswered: set[str] = set()
        self._deadline = 0.0

    def begin(self, session_ids: Iterable[str], now: float) -> None:
        """Rows and reports were read; these sessions are poked now, and waited for."""
        self.phase, self._deadline = "poking", now + self._poke_s
        self._unanswered = set(session_ids)
        self.tick(now)

    def answered(self, session_id: str, now: float) -> None:
        """The session has answered the poke, or is silent or replaced and will not."""
        self._unanswered.discard(session_id)
        self.tick(now)

    def tick(self, now: float) -> None:
        """Wait no longer for sessions that have not answered in time."""
        if self.phase == "poking" and (not self._unanswered or now >= self._deadline):
            self.phase = "reading"

    def caught_up(self) -> None:
        """Step events were read to the end as it was when the phase `reading` began."""
        if self.phase == "reading":
            self.phase = "giving"

    @property
    def next_wake(self) -> float | None:
        """When the waiting ends."""
        return self._deadline if self.phase == "poking" else None

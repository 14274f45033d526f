"""How much one caller, and all together, may have open at once. On the event loop only."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from web.http.problems import Problem

#: Seconds after which a refused client may try again.
_RETRY_S = 5


class ConcurrencyLimit:
    """A limit on open connections or requests. `code` and `what` name them in problems."""

    def __init__(self, code: str, what: str, *, per_caller: int, total: int = 0) -> None:
        """`per_caller`, `total`: 0 is unlimited."""
        self._code, self._what, self._per_caller, self._total = code, what, per_caller, total
        self._open: Counter[str] = Counter()
        self._count = 0

    def enter(self, caller: str) -> None:
        """Count one more; `leave` must follow. Raises Problem (429)."""
        if 0 < self._per_caller <= self._open[caller]:
            raise self._refused(f"you have {self._per_caller} {self._what} open, and more are not allowed: close some")
        if 0 < self._total <= self._count:
            raise self._refused(f"this replica has {self._total} {self._what} open, and more are not allowed")
        self._open[caller] += 1
        self._count += 1

    def leave(self, caller: str) -> None:
        """Count one less."""
        self._open[caller] -= 1
        self._count -= 1
        if not self._open[caller]:
            del self._open[caller]  # callers that have left leave nothing behind

    @contextmanager
    def entered(self, caller: str) -> Iterator[None]:
        """Count one for as long as the context lasts. Raises Problem (429)."""
        self.enter(caller)
        try:
            yield
        finally:
            self.leave(caller)

    def _refused(self, detail: str) -> Problem:
        return Problem(429, self._code, detail, {"Retry-After": str(_RETRY_S)})

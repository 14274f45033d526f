"""Reports of the queues as they are: what waits, in the order of the dispatcher, and for how long. Pure."""

from collections.abc import Collection, Iterator
from itertools import islice

from schemas.queues import MAX_QUEUED, QueuedAttempt, QueueReported
from tables.dispatch.explain import blocked_reason, blocked_steps, wait_s
from tables.dispatch.ledger import Ledger
from tables.dispatch.ready_queues import ReadyQueue
from tables.dispatch.values import Entry, Line

_Turns = list[tuple[Entry, Line]]


def queue_reports(ledger: Ledger, kinds: Collection[str], number: int) -> dict[str, QueueReported]:
    """A report for each step that waits, and for each that no executor offers. `number`: of the dispatcher.

    O(owners + MAX_QUEUED log owners) for each queue and each of its steps that is blocked.
    """
    listings = {
        step: listing for queue in ledger.queues for listing in [_Listing(ledger, queue)] for step in queue.steps
    }
    waiting = {step: count for step, listing in listings.items() if (count := listing.waiting(step))}
    unserved = [step for step in kinds if step not in waiting and not ledger.executors.slots(step)]
    return {
        step: QueueReported(
            step=step,
            dispatcher=number,
            waiting=waiting.get(step, 0),
            slots=ledger.executors.slots(step),
            reason=blocked_reason(ledger, step),
            first=tuple(islice(listings[step].first(step), MAX_QUEUED)) if step in waiting else (),
        )
        for step in (*waiting, *unserved)
    }


class _Listing:
    """The turns of one queue, without those of steps that are blocked."""

    def __init__(self, ledger: Ledger, queue: ReadyQueue) -> None:
        self._ledger, self._queue = ledger, queue
        self._turns: dict[frozenset[Line], _Turns] = {}

    def waiting(self, step: str) -> int:
        """Attempts of a step that wait."""
        return self._queue.order.waiting(step)

    def first(self, step: str) -> Iterator[QueuedAttempt]:
        """The first attempts of a step; short ones before others."""
        blocked = blocked_steps(self._ledger) - {step}
        for short in (True, False):
            if Line(step, short) in self._queue.lines:
                skipped = [line for line in self._queue.lines if line.step in blocked or (short and not line.short)]
                yield from self._of_line(Line(step, short), self._turns_without(frozenset(skipped)))

    def _of_line(self, sought: Line, turns: _Turns) -> Iterator[QueuedAttempt]:
        alike = 0
        for position, (entry, line) in enumerate(turns, 1):
            alike += line.short == sought.short
            if line == sought:
                attempt = self._ledger.attempts[entry[1], line.step]
                waits_s = wait_s(self._ledger, attempt, alike)
                capped = attempt.owner in self._ledger.caps.held
                yield QueuedAttempt(entry[1], position, waits_s and round(waits_s, 1), capped)

    def _turns_without(self, skipped: frozenset[Line]) -> _Turns:
        if skipped not in self._turns:
            self._turns[skipped] = list(islice(self._queue.order.in_turn(skipped), MAX_QUEUED))
        return self._turns[skipped]

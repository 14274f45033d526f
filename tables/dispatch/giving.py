"""Giving: the next attempt in order to the best session, for as long as there are both."""

from typing import Literal, NamedTuple

from tables.dispatch.ledger import Ledger
from tables.dispatch.priority_queue import Chosen
from tables.dispatch.ready_queues import ReadyQueue
from tables.dispatch.sessions import Session, capacity_of
from tables.dispatch.values import Capacity, Give, Line, Turn

_Kind = Literal["full", "short", "slot", "ahead"]
#: Kinds of capacity in the order in which they are filled, and the turn that goes with each. A short attempt has the
#: CPUs to itself where nothing heavier goes before it; a slot is queued ahead of only where none is free anywhere.
_HEAVY: tuple[tuple[_Kind, Turn], ...] = (("full", "full"), ("short", "short"))
_LIGHT: tuple[tuple[_Kind, Turn], ...] = (("slot", ""), ("ahead", ""))


class _Match(NamedTuple):
    """What is to be given, and by which kind of capacity."""

    chosen: Chosen
    #: Lines of which this kind of capacity is free.
    lines: list[Line]
    capacity: Capacity
    turn: Turn


class Giver:
    """Gives what can be given at one moment."""

    def __init__(self, ledger: Ledger, batch: int, now: float) -> None:
        self._ledger, self._batch, self._now = ledger, batch, now
        self._gives: list[Give] = []

    def give(self) -> list[Give]:
        """Everything that can be given."""
        for queue in self._ledger.queues:
            if queue.order.size:
                self._give_all(queue)
        return self._gives

    def _give_all(self, queue: ReadyQueue) -> None:
        executors = self._ledger.executors
        if not (executors.refresh(queue.steps) or queue.is_changed):
            return
        queue.is_changed = False
        while (match := self._next(queue)) is not None:
            self._give(queue, match)
            executors.refresh(queue.steps)

    def _next(self, queue: ReadyQueue) -> _Match | None:
        for kind, turn in _HEAVY if queue.heavy else _LIGHT:
            lines = [line for line in queue.lines if self._is_open(line, kind)]
            chosen = queue.order.first(lines, self._ledger.caps.held) if lines else None
            if chosen is None or (kind == "ahead" and not self._ledger.chosen(chosen).brief):
                continue
            return _Match(chosen, lines, capacity_of(kind, chosen.candidate.line.step), turn)
        return None

    def _is_open(self, line: Line, kind: _Kind) -> bool:
        if kind == "short" and not line.short:
            return False
        executors = self._ledger.executors
        return self._ledger.caps.is_open(line.step) and executors.has_free(capacity_of(kind, line.step))

    def _give(self, queue: ReadyQueue, match: _Match) -> None:
        """Give the chosen attempt; where the step is instant, as many as may go together to the same session."""
        executors, caps = self._ledger.executors, self._ledger.caps
        chosen: Chosen | None = match.chosen
        session = executors.choose(match.capacity, self._ledger.chosen(match.chosen).input_id)
        room = min(self._batch, executors.free(match.capacity, session)) if queue.instant else 1
        while chosen is not None:
            room -= self._place(queue, chosen, session, match.turn, room)
            is_open = room > 0 and caps.is_open(match.capacity.step)
            chosen = queue.order.first(match.lines, caps.held) if is_open else None

    def _place(self, queue: ReadyQueue, chosen: Chosen, session: Session, turn: Turn, room: int) -> int:
        """Give the chosen attempt, and up to `room` in all while no other owner waits. Returns how many."""
        candidate, ledger = chosen.candidate, self._ledger
        most = min(room, ledger.caps.room(candidate.line.step, candidate.owner))
        entries, step = queue.order.run(chosen, most), candidate.line.step
        attempts = [ledger.attempts[job_id, step] for _, job_id in entries]
        ledger.queues.take(queue, chosen, attempts)
        ledger.hold_run(attempts, session, turn, self._now)
        session_id, address = session.report.session_id, session.report.address
        self._gives += [Give(session_id, address, a.key[0], step, *a.number, turn) for a in attempts]
        return len(attempts)

"""The executors of a lane by their reports: whose session is the current one, who is silent, who has free capacity."""

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from itertools import islice
from typing import NamedTuple

from msgspec.structs import replace

from schemas.executors import ExecutorReport
from schemas.steps import StepKind
from tables.dispatch.sessions import Held, Session
from tables.dispatch.slot_index import SlotIndex
from tables.dispatch.values import AttemptKey, Capacity, Poke, Turn

#: Until an executor that is silent is forgotten.
FORGET_S = 3600.0
#: Executors of a lane that are known at a time; reports of others are ignored.
MAX_EXECUTORS = 20_000
#: Sessions with a large input on their disk that are looked at for one attempt.
_MAX_HOLDERS = 8
#: Under these names the CPU turns are counted as the steps' slots are; no step is called so.
FULL_TURNS, SHORT_TURNS = "/full", "/short"


class Reported(NamedTuple):
    """What a report changed."""

    #: The session that the new one replaces.
    replaced: Session | None
    session: Session
    #: What occupies it and is not listed.
    unlisted: list[AttemptKey]


class Executors:
    """The sessions of one lane."""

    def __init__(self, kinds: Mapping[str, StepKind], silent_s: float) -> None:
        self._kinds, self._silent_s = kinds, silent_s
        self._by_executor: dict[str, Session] = {}
        self._by_id: dict[str, Session] = {}
        #: Sessions that were replaced: a second process of the same name must not take turns with the current one.
        self._replaced: dict[str, None] = {}
        self._index = SlotIndex()
        #: Sessions that were occupied or left since `refresh`.
        self._touched: dict[str, Session] = {}
        #: Sessions whose free capacity for a step has changed, by step.
        self._changed: dict[str, dict[str, Session]] = {}
        #: (when a session is to be checked for silence, its id); what `_check_at` does not confirm is stale.
        self._checks: list[tuple[float, str]] = []
        self._check_at: dict[str, float] = {}
        self._holders: dict[str, dict[str, None]] = {}
        #: Slots of each step over all living sessions.
        self._slots: dict[str, int] = {}
        self._counted: dict[str, dict[str, int]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, session_id: str) -> Session | None:
        """The current session of this id."""
        return self._by_id.get(session_id)

    def sessions(self) -> Iterable[Session]:
        """Every executor's current session."""
        return self._by_executor.values()

    def report(self, report: ExecutorReport, at: float, poke: int) -> Reported | None:
        """Learn from a report; None for one that is older than what is known. `poke`: see Session.poke.

        Steps that are not known here are left out.
        """
        if not report.steps.keys() <= self._kinds.keys():
            offers = {step: offer for step, offer in report.steps.items() if step in self._kinds}
            report = replace(report, steps=offers)
        known = self._by_executor.get(report.executor_id)
        if known is not None and known.report.session_id == report.session_id:
            return self._renew(known, report, at)
        if self._is_refused(report, at, known):
            return None
        session = Session(report, at, poke)
        if known is not None:
            self._replace(known)
        self._by_executor[report.executor_id] = self._by_id[report.session_id] = session
        unlisted = session.take_report(report, at)
        self._note_cached(session, (), report.cached)
        self._check_later(session)
        self.watch(session)
        return Reported(known, session, unlisted)

    def _is_refused(self, report: ExecutorReport, at: float, known: Session | None) -> bool:
        """Whether the report of a session that is not known is an old one, or one too many."""
        if report.session_id in self._by_id or report.session_id in self._replaced:
            return True
        return len(self._by_executor) >= MAX_EXECUTORS if known is None else at < known.reported_at

    def _renew(self, session: Session, report: ExecutorReport, at: float) -> Reported | None:
        if report.seq <= session.report.seq:
            return None
        was_silent, offered = session.silent, session.offer
        self._note_cached(session, session.report.cached, report.cached)
        unlisted = session.take_report(report, at)
        if was_silent:
            self._check_later(session)
        if session.offer != offered:
            self.watch(session)
        self.touch(session)
        return Reported(None, session, unlisted)

    def remove(self, executor_id: str) -> Session | None:
        """The executor is gone for good (a tombstone, or silent for an hour)."""
        session = self._by_executor.pop(executor_id, None)
        if session is not None:
            self._remove(session)
        return session

    def touch(self, session: Session) -> None:
        """What occupies the session has changed."""
        self._touched[session.report.session_id] = session

    def hold(self, session: Session, attempts: Iterable[tuple[AttemptKey, bool]], turn: Turn, *, at: float) -> None:
        """The attempts, each with whether it is brief, occupy the session."""
        for key, brief in attempts:
            session.hold(key, Held(turn, brief, at))
        self.touch(session)

    def refresh(self, steps: Iterable[str]) -> bool:
        """Bring the index up to date for attempts of these steps. Returns whether any capacity has grown."""
        grown = False
        self._note_changes()
        for step in steps:
            for session_id, session in self._changed.pop(step, {}).items():
                for capacity, free in session.capacity(step, heavy=self._kinds[step].heavy):
                    grown |= self._index.set(capacity, session_id, free, session.load)
        return grown

    def _note_changes(self) -> None:
        touched, self._touched = self._touched, {}
        for session_id, session in touched.items():
            for step in session.take_changes():
                self._changed.setdefault(step, {})[session_id] = session

    def has_free(self, capacity: Capacity) -> bool:
        """Whether any session has free capacity of this kind."""
        return self._index.best(capacity) is not None

    def choose(self, capacity: Capacity, input_id: str | None) -> Session:
        """The session that has the input on its disk, else the one with the most free capacity. Raises KeyError."""
        holders = self._holders.get(input_id, ()) if input_id is not None else ()
        best = max(islice(holders, _MAX_HOLDERS), key=lambda held: self._index.free(capacity, held), default=None)
        if best is None or not self._index.free(capacity, best):
            best = self._index.best(capacity)
        return self._by_id[best or ""]

    def free(self, capacity: Capacity, session: Session) -> int:
        """The session's free capacity of this kind."""
        return self._index.free(capacity, session.report.session_id)

    def slots(self, step: str) -> int:
        """Attempts of the step that all living executors together run at a time; or of CPU turns."""
        return self._slots.get(step, 0)

    def fall_silent(self, now: float) -> list[Session]:
        """Sessions that have not reported for too long since this was last called."""
        fallen = []
        while self._checks and self._checks[0][0] <= now:
            due_at, session_id = heappop(self._checks)
            session = self._by_id.get(session_id)
            if session is None or self._check_at.get(session_id) != due_at:
                continue
            if not session.silent and session.reported_at + self._silent_s <= now:
                session.silent = True
                fallen.append(session)
                self.watch(session)
            if session.reported_at + FORGET_S <= now:
                self.remove(session.report.executor_id)
            else:
                self._check_later(session)
        return fallen

    def next_check(self) -> float | None:
        """When a session may have been silent for too long."""
        return self._checks[0][0] if self._checks else None

    def _check_later(self, session: Session) -> None:
        session_id = session.report.session_id
        due_at = session.reported_at + (FORGET_S if session.silent else self._silent_s)
        self._check_at[session_id] = due_at
        heappush(self._checks, (due_at, session_id))

    def pokes(self, number: int) -> list[Poke]:
        """A poke for every session."""
        return [Poke(s.report.session_id, s.report.address, number) for s in self._by_executor.values()]

    def watch(self, session: Session) -> None:
        """Whether the session is usable may have changed, and what it offers."""
        session.change()
        self.touch(session)
        report, steps = session.report, dict[str, int]()
        if session.is_alive:
            steps = {step: offer.slots for step, offer in report.steps.items()}
            steps |= {FULL_TURNS: report.full_turns, SHORT_TURNS: report.short_turns}
        counted = self._counted.get(session.report.session_id, {})
        if steps == counted:
            return
        for step in counted.keys() | steps.keys():
            self._slots[step] = self._slots.get(step, 0) + steps.get(step, 0) - counted.get(step, 0)
        self._counted[session.report.session_id] = steps

    def _replace(self, session: Session) -> None:
        self._remove(session)
        self._replaced[session.report.session_id] = None
        if len(self._replaced) > MAX_EXECUTORS:
            del self._replaced[next(iter(self._replaced))]

    def _remove(self, session: Session) -> None:
        session.silent = True
        self.watch(session)
        self._note_cached(session, session.report.cached, ())
        session_id = session.report.session_id
        del self._by_id[session_id], self._check_at[session_id]
        self._counted.pop(session_id, None)

    def _note_cached(self, session: Session, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        if before == after:
            return
        session_id = session.report.session_id
        for input_id in set(before) - set(after):
            self._holders[input_id].pop(session_id, None)
            if not self._holders[input_id]:
                del self._holders[input_id]
        for input_id in after:
            self._holders.setdefault(input_id, {})[session_id] = None

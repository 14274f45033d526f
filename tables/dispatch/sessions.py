"""A session of an executor as the dispatcher knows it: what it can run, and what occupies it.

Occupied is what the last report lists, and what was given or is known to be accepted; but not what is known to have
ended. Reports and step events travel on different topics, so either may be the older one.
"""

from functools import lru_cache
from typing import Literal, NamedTuple

from schemas.executors import ExecutorReport, StepSlots
from tables.dispatch.values import AttemptKey, Capacity, Turn

#: Ended attempts that a report on its way may still list; beyond, one counts as running until the next report.
_MAX_ENDED = 1024
_NO_SLOTS = StepSlots(slots=0, short=False)


@lru_cache(1024)
def capacity_of(kind: Literal["full", "short", "slot", "ahead"], step: str) -> Capacity:
    """The same object each time: it is asked for several times per give."""
    return Capacity(kind, step)


class Held(NamedTuple):
    """What one attempt occupies."""

    turn: Turn
    #: Whether it is expected to end within a second.
    brief: bool
    #: When it was given or accepted; 0 for one that is only known from reports.
    at: float


class Session:
    """One start of an executor process."""

    def __init__(self, report: ExecutorReport, at: float, poke: int) -> None:
        self.report, self.reported_at = report, at
        #: Nothing is given to it before a report with a higher number.
        self.quiet_seq = 0
        #: Nothing is given to it before it has answered this poke.
        self.poke = poke
        self.silent = False
        self.held: dict[AttemptKey, Held] = {}
        self._ended: dict[AttemptKey, None] = {}
        self._used: dict[str, int] = {}
        self._lengthy: dict[str, int] = {}
        self._turns: dict[Turn, int] = {"full": 0, "short": 0}
        #: Steps that it offers or has offered, and those whose capacity has changed since `take_changes`.
        self._steps: dict[str, StepSlots] = {}
        self._changed: set[str] = set()

    @property
    def is_alive(self) -> bool:
        """Whether it reports, and stays."""
        return not self.silent and not self.report.draining

    @property
    def is_usable(self) -> bool:
        """Whether anything may be given to it."""
        return self.is_alive and self.report.seq > self.quiet_seq and self.report.poke >= self.poke

    @property
    def offer(self) -> tuple[object, ...]:
        """What a report may change of what can be given to it."""
        report = self.report
        return self.is_usable, self.is_alive, report.steps, report.full_turns, report.short_turns

    def hold(self, key: AttemptKey, held: Held) -> None:
        """The attempt occupies the session from now on."""
        self.drop(key)
        self._ended.pop(key, None)
        self.held[key] = held
        self._count(key, held, 1)

    def drop(self, key: AttemptKey) -> None:
        """The attempt never came, or went elsewhere."""
        held = self.held.pop(key, None)
        if held is not None:
            self._count(key, held, -1)

    def end(self, key: AttemptKey, *, listed: bool) -> None:
        """The attempt has ended; `listed`: a report that is on its way may still list it."""
        self.drop(key)
        if listed:
            self._ended[key] = None
            if len(self._ended) > _MAX_ENDED:
                del self._ended[next(iter(self._ended))]

    def take_report(self, report: ExecutorReport, at: float) -> list[AttemptKey]:
        """Learn from a later report. Returns the attempts that it does not list."""
        if report.steps != self._steps:
            self._steps = dict.fromkeys(self._steps, _NO_SLOTS) | report.steps
        self.report, self.reported_at, self.silent = report, at, False
        listed = {(a.job_id, a.run, a.step, a.attempt): a for a in report.attempts}
        self._ended = {key: None for key in self._ended if key in listed}
        for key, attempt in listed.items():
            if key in self._ended:
                continue
            known = self.held.get(key)
            turn: Turn = attempt.turn if attempt.turn in self._turns else ""
            if known is None or known.turn != turn:
                foreign = Held(turn, brief=False, at=0.0)
                self.hold(key, known._replace(turn=turn) if known is not None else foreign)
        return [key for key in self.held if key not in listed]

    @property
    def load(self) -> int:
        """Attempts that have the CPUs or wait for them."""
        return self._turns["full"] + self._turns["short"]

    def change(self) -> None:
        """The capacity for every step may have changed."""
        self._changed.update(self._steps)

    def take_changes(self) -> set[str]:
        """Steps for which the capacity may have changed since this was last called."""
        changed, self._changed = self._changed, set()
        return changed

    def capacity(self, step: str, *, heavy: bool) -> tuple[tuple[Capacity, int], tuple[Capacity, int]]:
        """Free capacity for attempts of the step, of both kinds that there are; 0 or less: none."""
        offer = self._steps[step] if self.is_usable else _NO_SLOTS
        slots = offer.slots - self._used.get(step, 0)
        if heavy:
            # A short turn takes no slot: long attempts of the step would need both at once, and could wait for ever.
            short = self.report.short_turns - self._turns["short"] if offer.short else 0
            full = min(slots, self.report.full_turns - self._turns["full"])
            return (capacity_of("full", step), full), (capacity_of("short", step), short)
        ahead = offer.slots + slots - self._lengthy.get(step, 0) if slots <= 0 else 0
        return (capacity_of("slot", step), slots), (capacity_of("ahead", step), ahead)

    def _count(self, key: AttemptKey, held: Held, by: int) -> None:
        step = key[2]
        if held.turn:
            self._turns[held.turn] += by
            self.change()
        if step in self._steps:
            self._changed.add(step)
        if held.turn != "short":
            _add(self._used, step, by)
            if not held.brief:
                _add(self._lengthy, step, by)


def _add(counts: dict[str, int], step: str, by: int) -> None:
    """Steps of which there are none are not kept."""
    counts[step] = counts.get(step, 0) + by
    if not counts[step]:
        del counts[step]

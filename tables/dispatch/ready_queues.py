"""The waiting attempts of a lane: one queue for each kind of capacity that they compete for.

All heavy steps share one queue, since they share the executors' CPUs; each light step has its own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from schemas.steps import StepKind
from tables.dispatch.fair_turns import MAX_LEAD, UNITS_PER_S
from tables.dispatch.priority_queue import Chosen, PriorityQueue
from tables.dispatch.values import AttemptKey, Entry, Line, Number, Rules, StepKey

#: Least charge for a turn: an executor's and control's own time.
_LEAST_S = 0.05
#: Weight of the latest turn in the mean.
_LATEST = 0.05
#: The queue of all heavy steps; no step is called so.
_HEAVY = "/heavy"

State = Literal["later", "waiting", "given", "accepted"]


class Attempt(msgspec.Struct, gc=False):
    """An attempt that is ready or in an executor's hands."""

    key: StepKey
    number: Number
    owner: str
    #: Rank of its priority, from 0.
    rank: int
    line: Line
    entry: Entry
    #: What a turn is charged at first.
    cost_s: float
    brief: bool
    input_id: str | None
    size: float | None
    state: State = "waiting"
    session_id: str = ""
    #: When it was given or accepted; not before, while it is for later.
    at: float = 0.0
    #: What its owner was charged.
    span: int = 0

    @property
    def held_as(self) -> AttemptKey:
        """The key by which executors know it."""
        return (self.key[0], self.number[0], self.key[1], self.number[1])


class ReadyQueue:
    """One queue, and the lines that were ever in it: at most two per step."""

    def __init__(self, heavy: bool, instant: bool, patience: int) -> None:
        self.heavy, self.instant = heavy, instant
        self.order = PriorityQueue(patience)
        #: Whether more may be given than when everything that could be given was, sessions apart.
        self.is_changed = False
        self.lines: tuple[Line, ...] = ()
        self.steps: tuple[str, ...] = ()
        #: How long turns took lately, by whether they were short.
        self._means_s: dict[bool, float] = {}

    def mean_s(self, otherwise_s: float, *, short: bool) -> float:
        """How long a turn took lately; `otherwise_s` before the first one has ended."""
        return self._means_s.get(short, otherwise_s)

    def learn(self, took_s: float, *, short: bool) -> None:
        """A turn has ended."""
        self._means_s[short] = (1 - _LATEST) * self._means_s.get(short, took_s) + _LATEST * took_s


class ReadyQueues:
    """The queues of one lane."""

    def __init__(self, kinds: Mapping[str, StepKind], rules: Rules) -> None:
        self._kinds, self._rules = kinds, rules
        self._queues: dict[str, ReadyQueue] = {}

    def __iter__(self) -> Iterator[ReadyQueue]:
        return iter(self._queues.values())

    def change(self, rules: Rules) -> None:
        """Other weights from now on."""
        self._rules = rules

    def of(self, step: str) -> ReadyQueue:
        """The queue in which attempts of the step wait."""
        kind = self._kinds.get(step)
        heavy = kind is not None and kind.heavy
        name = _HEAVY if heavy else step
        queue = self._queues.get(name)
        if queue is None:
            instant = kind is not None and kind.instant
            queue = self._queues[name] = ReadyQueue(heavy, instant, self._rules.patience)
        return queue

    def add(self, attempt: Attempt) -> None:
        """Let it wait; what its owner was charged for it is refunded."""
        queue = self.of(attempt.key[1])
        if attempt.line not in queue.lines:
            queue.lines += (attempt.line,)
            queue.steps = tuple({line.step: None for line in queue.lines})
        queue.order.add(attempt.rank, attempt.owner, attempt.line, attempt.entry, attempt.span)
        queue.is_changed = True
        attempt.state, attempt.span = "waiting", 0

    def remove(self, attempt: Attempt) -> None:
        """Let it wait no longer."""
        queue = self.of(attempt.key[1])
        queue.order.remove(attempt.rank, attempt.owner, attempt.line, attempt.entry)
        queue.is_changed = True

    def take(self, queue: ReadyQueue, chosen: Chosen, attempts: Sequence[Attempt]) -> None:
        """The run of attempts that begins with the chosen one gets its turns."""
        for attempt in attempts:
            attempt.span = self._span(attempt.owner, attempt.cost_s)
        queue.order.take(chosen, *(attempt.span for attempt in attempts))

    def charge(self, attempt: Attempt, took_s: float) -> None:
        """Charge its owner what it took, in place of what was expected."""
        span = self._span(attempt.owner, took_s)
        queue = self.of(attempt.key[1])
        queue.order.classes[attempt.rank].charge(attempt.owner, span - attempt.span)
        queue.is_changed = True
        queue.learn(took_s, short=attempt.line.short)
        attempt.span = span

    def charge_running(self, attempt: Attempt) -> None:
        """Charge its owner for a turn that it was given before this dispatcher began."""
        attempt.span = self._span(attempt.owner, attempt.cost_s)
        turns = self.of(attempt.key[1]).order.classes[attempt.rank]
        turns.charge_before(attempt.owner, attempt.span)

    def release(self, owner: str) -> None:
        """The owner is below its cap again."""
        for queue in self._queues.values():
            queue.is_changed = True
            for turns in queue.order.classes:
                turns.release(owner)

    def look_again(self) -> None:
        """More may be given of any step."""
        for queue in self._queues.values():
            queue.is_changed = True

    def position(self, attempt: Attempt, skipped: Callable[[Line], bool]) -> int:
        """From 1: which turn it gets, attempts of the `skipped` lines not counted."""
        queue = self.of(attempt.key[1])
        left_out = [line for line in queue.lines if skipped(line)]
        return queue.order.position(attempt.rank, attempt.owner, attempt.entry, left_out)

    def _span(self, owner: str, cost_s: float) -> int:
        weight = self._rules.weights.get(owner, 1.0)
        return min(max(1, int(max(cost_s, _LEAST_S) * UNITS_PER_S / weight)), MAX_LEAD)

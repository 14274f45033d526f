"""What a simulated run shows."""

import math
from collections import Counter, defaultdict, deque
from typing import NamedTuple

from schemas.base import Message
from schemas.facts import JobCompleted, StepCompleted
from tables.dispatch.values import AttemptKey, Number, StepKey
from tests.simulation.executor import Running, SimExecutor
from tests.simulation.work import KINDS, JobPlan

#: Fairness is measured over intervals, at least so long, in which every owner had heavy work waiting all the time: an
#: attempt for each ten executors. Whoever has less waiting gets all that it asks for, and cannot be treated unfairly.
CONTENDED_S = 5.0
_EXECUTORS_PER_WAITING = 10


class Result(NamedTuple):
    """The figures of one run."""

    jobs: int
    #: Jobs that did not complete.
    lost: int
    makespan_s: float
    #: Slot free -> next attempt begins, while one waited; seconds.
    gap_p50_s: float
    gap_p99_s: float
    #: Fairness of heavy work per weight while all owners waited for it, 1/n-1; 1 for a single owner.
    jain: float
    #: Longest that an owner whose heavy work waited began nothing, seconds, by owner.
    longest_pause_s: dict[str, float]
    #: Attempts that two living sessions ran at the same time; completions that were published twice.
    double_runs: int
    published_twice: int
    #: Attempts begun beyond one per step: after deaths and takeovers.
    begun_again: int
    refused: int
    events: int


class Measures:
    """Collects while the simulation runs."""

    def __init__(self, plans: dict[str, JobPlan], weights: dict[str, float], executors: int) -> None:
        self._plans, self._weights = plans, weights
        self._backlog = max(1, executors // _EXECUTORS_PER_WAITING)
        self._ready_at: dict[StepKey, float] = {}
        self._freed: dict[tuple[str, str], deque[float]] = defaultdict(deque)
        self.gaps_s: list[float] = []
        self._running: dict[AttemptKey, set[str]] = defaultdict(set)
        self._published: dict[StepKey, Number] = {}
        self.published_at: dict[StepKey, float] = {}
        self._begun: Counter[StepKey] = Counter()
        self.double_runs = self.published_twice = self.refused = self.events = 0
        self.ended_at: dict[str, float] = {}
        #: Heavy steps that wait, by owner; and heavy seconds that each owner was given while all waited.
        self._waiting: Counter[str] = Counter(dict.fromkeys({plan.owner or "" for plan in plans.values()}, 0))
        self._contended_from = math.inf
        self._interval: Counter[str] = Counter()
        self._service: Counter[str] = Counter()
        self._began_at: dict[str, float] = {}
        self.longest_pause_s: dict[str, float] = {}

    def ready(self, key: StepKey, now: float) -> None:
        """A step was requested; repeats are known."""
        if key in self._ready_at:
            return
        self._ready_at[key] = now
        if KINDS[key[1]].heavy:
            owner = self._owner(key[0])
            if not self._waiting[owner]:
                self._began_at[owner] = now
            self._waiting[owner] += 1
            if self._contended_from == math.inf and min(self._waiting.values()) >= self._backlog:
                self._contended_from, self._interval = now, Counter()

    def began(self, executor: SimExecutor, running: Running, now: float) -> None:
        """An executor has begun to work on an attempt."""
        key = (running.key[0], running.key[2])
        others = self._running[running.key]
        self.double_runs += bool(others)
        others.add(executor.session_id)
        self._begun[key] += 1
        ready_at = self._ready_at.pop(key, None)
        # A short turn may be free because nothing short waits: that is no gap.
        freed = self._freed[executor.name, _capacity(running)]
        free_at = freed.popleft() if freed and running.turn != "short" else None
        if free_at is not None and ready_at is not None and ready_at <= free_at:
            self.gaps_s.append(now - free_at)
        if ready_at is not None and KINDS[key[1]].heavy:
            self._serve(self._owner(key[0]), self._plans[key[0]].takes_s[key[1]], now)

    def finished(self, executor: SimExecutor, running: Running, now: float) -> None:
        """The slot is free."""
        self._running[running.key].discard(executor.session_id)
        if not self._running[running.key]:
            del self._running[running.key]
        self._freed[executor.name, _capacity(running)].append(now)

    def left(self, executor: SimExecutor) -> None:
        """It has ended: what ran there runs no more, and no slot waits for its next attempt."""
        for key in executor.accepted:
            self._running[key].discard(executor.session_id)
            self._ready_at.pop((key[0], key[2]), None)
        for name, capacity in list(self._freed):
            if name == executor.name:
                del self._freed[name, capacity]

    def said(self, effect: Message, now: float) -> None:
        """Control has published a fact."""
        if isinstance(effect, JobCompleted):
            self.ended_at.setdefault(effect.job_id, now)
        elif isinstance(effect, StepCompleted):
            published = self._published.setdefault((effect.job_id, effect.step), (effect.run, effect.attempt))
            self.published_at.setdefault((effect.job_id, effect.step), now)
            self.published_twice += published != (effect.run, effect.attempt)

    def result(self, from_s: float) -> Result:
        """The figures."""
        gaps = sorted(self.gaps_s)
        first = min(plan.at for plan in self._plans.values())
        return Result(
            jobs=len(self._plans),
            lost=len(self._plans) - len(self.ended_at),
            makespan_s=max(self.ended_at.values(), default=0.0) - first - from_s,
            gap_p50_s=_quantile(gaps, 0.5),
            gap_p99_s=_quantile(gaps, 0.99),
            jain=jain([self._service[owner] / self._weights.get(owner, 1.0) for owner in self._service]),
            longest_pause_s=self.longest_pause_s,
            double_runs=self.double_runs,
            published_twice=self.published_twice,
            begun_again=sum(count - 1 for count in self._begun.values()),
            refused=self.refused,
            events=self.events,
        )

    def _serve(self, owner: str, seconds: float, now: float) -> None:
        self._interval[owner] += seconds  # type: ignore[assignment]  # a counter of seconds
        self._waiting[owner] -= 1
        if self._waiting[owner] < self._backlog:
            self._close_interval(now)
        pause_s = now - self._began_at.get(owner, now)
        self.longest_pause_s[owner] = max(self.longest_pause_s.get(owner, 0.0), pause_s)
        self._began_at[owner] = now

    def _close_interval(self, now: float) -> None:
        """An owner has too little waiting."""
        if now - self._contended_from >= CONTENDED_S:
            self._service.update(self._interval)
        self._contended_from = math.inf

    def _owner(self, job_id: str) -> str:
        return self._plans[job_id].owner or ""


def jain(shares: list[float]) -> float:
    """Jain's fairness index: 1 when all shares are equal, 1/n when one has everything."""
    squares = len(shares) * sum(share * share for share in shares)
    return sum(shares) ** 2 / squares if squares else 1.0


def _capacity(running: Running) -> str:
    return running.turn or running.key[2]


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0

"""What a dispatcher must give, found by looking at everything each time: O(attempts x sessions) per give."""

from collections import Counter
from typing import NamedTuple

from tables.dispatch.dispatcher import Dispatcher
from tables.dispatch.fair_turns import MAX_LAG, FairTurns
from tables.dispatch.ready_queues import Attempt, ReadyQueue
from tables.dispatch.sessions import Held, Session
from tables.dispatch.values import Give, StepKey


class Tag(NamedTuple):
    """An owner's place among the owners of its class."""

    tag: int
    changed: int


class NaiveGiver:
    """Knows of a dispatcher only the attempts, what each session holds, the owners' tags and the settings."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.ledger = dispatcher.ledger
        self.rules = dispatcher.rules
        self.state = {key: attempt.state for key, attempt in self.ledger.attempts.items()}
        self.sessions = [s for s in self.ledger.executors.sessions() if s.is_usable]
        self.held = {s.report.session_id: dict(s.held) for s in self.sessions}
        self.tags: dict[tuple[int, str], Tag] = {}
        self.gives: list[Give] = []

    def give(self) -> list[Give]:
        for queue in self.ledger.queues:
            self.turns = [Turns(turns) for turns in queue.order.classes]
            self.overtaken = list(queue.order._overtaken)
            while self._give_one(queue):
                pass
        return self.gives

    def _give_one(self, queue: ReadyQueue) -> bool:
        for kind in ("full", "short") if queue.heavy else ("slot", "ahead"):
            attempt = self._next(queue, kind)
            if attempt is None or (kind == "ahead" and not attempt.brief):
                continue
            session = self._session(kind, attempt)
            most = min(self.rules.batch, self._free(kind, attempt.key[1], session)) if queue.instant else 1
            for _ in range(most):
                self._place(queue, attempt, session, kind)
                following = self._next(queue, kind, anywhere=True)
                if following is None:
                    break
                attempt = following
            return True
        return False

    def _next(self, queue: ReadyQueue, kind: str, *, anywhere: bool = False) -> Attempt | None:
        waiting = [
            attempt
            for key, attempt in self.ledger.attempts.items()
            if self.state[key] == "waiting"
            and self.ledger.queues.of(key[1]) is queue
            and (kind != "short" or attempt.line.short)
            and self._may_go(attempt)
            and (anywhere or any(self._free(kind, key[1], session) > 0 for session in self.sessions))
        ]
        ranks = {attempt.rank for attempt in waiting}
        due = [rank for rank in (2, 1, 0) if rank in ranks and self.overtaken[rank] >= self.rules.patience]
        for rank in [*due, *sorted(ranks)][:1]:
            turns = self.turns[rank]
            return min((a for a in waiting if a.rank == rank), key=lambda a: (turns.tags[a.owner], a.entry, a.line))
        return None

    def _may_go(self, attempt: Attempt) -> bool:
        active = [a for key, a in self.ledger.attempts.items() if self.state[key] in ("given", "accepted")]
        by_step, by_owner = Counter(a.key[1] for a in active), Counter(a.owner for a in active)
        caps, step = self.ledger.caps, attempt.key[1]
        limit, cap = caps._max_active.get(step), self.rules.owner_caps.get(attempt.owner, self.rules.owner_cap)
        return (
            step not in caps._paused
            and (limit is None or by_step[step] < limit)
            and (cap is None or by_owner[attempt.owner] < cap)
        )

    def _free(self, kind: str, step: str, session: Session) -> int:
        offer = session.report.steps.get(step)
        if offer is None:
            return 0
        held = self.held[session.report.session_id]
        mine = [h for key, h in held.items() if key[2] == step and h.turn != "short"]
        slots = offer.slots - len(mine)
        turns = Counter(h.turn for h in held.values())
        short = session.report.short_turns - turns["short"]
        return {
            "slot": slots,
            "ahead": offer.slots + slots - sum(not h.brief for h in mine) if slots <= 0 else 0,
            "full": min(slots, session.report.full_turns - turns["full"]),
            "short": short if offer.short else 0,
        }[kind]

    def _session(self, kind: str, attempt: Attempt) -> Session:
        step = attempt.key[1]
        free = [s for s in self.sessions if self._free(kind, step, s) > 0]
        cached = [s for s in free if attempt.input_id in s.report.cached]
        if cached:
            most = max(self._free(kind, step, s) for s in cached)
            holders = list(self.ledger.executors._holders[attempt.input_id or ""])
            best = [s for s in cached if self._free(kind, step, s) == most]
            return min(best, key=lambda s: holders.index(s.report.session_id))
        return min(free, key=lambda s: (-self._free(kind, step, s), self._load(s), s.report.session_id))

    def _load(self, session: Session) -> int:
        return sum(h.turn != "" for h in self.held[session.report.session_id].values())

    def _place(self, queue: ReadyQueue, attempt: Attempt, session: Session, kind: str) -> None:
        report, turn = session.report, {"full": "full", "short": "short"}.get(kind, "")
        held = Held(turn, attempt.brief, 0.0)  # type: ignore[arg-type]
        self.held[report.session_id][attempt.held_as] = held
        self.turns[attempt.rank].take(attempt.owner, self.ledger.queues._span(attempt.owner, attempt.cost_s))
        self.state[attempt.key] = "given"
        left: dict[int, int] = Counter(
            a.rank
            for key, a in self.ledger.attempts.items()
            if self.state[key] == "waiting" and self.ledger.queues.of(key[1]) is queue
        )
        self.overtaken[attempt.rank] = 0
        for lower in range(attempt.rank + 1, 3):
            more = min(self.overtaken[lower] + 1, self.rules.patience)
            self.overtaken[lower] = more if left.get(lower) else 0
        job_id, run, step, number = attempt.held_as
        self.gives.append(Give(report.session_id, report.address, job_id, step, run, number, turn))  # type: ignore[arg-type]


class Turns:
    """The owners' tags of one class, without anything that is derived from them."""

    def __init__(self, turns: FairTurns) -> None:
        self.tags = {name: Tag(owner.tag, owner.changed) for name, owner in turns._owners.items()}
        self.virtual, self.changes = turns._virtual, turns._changes

    def take(self, owner: str, span: int) -> None:
        self.changes += 1
        self.tags[owner] = Tag(max(self.tags[owner].tag, self.virtual - MAX_LAG) + span, self.changes)


def gives_of(dispatcher: Dispatcher) -> list[Give]:
    """Everything that the dispatcher must give now."""
    return NaiveGiver(dispatcher).give()


def waiting(dispatcher: Dispatcher) -> list[StepKey]:
    """What waits for a session."""
    return [key for key, attempt in dispatcher.ledger.attempts.items() if attempt.state == "waiting"]

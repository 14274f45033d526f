"""The attempts of a lane that wait, are given or accepted; each change keeps queues, caps and sessions in step."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from schemas.jobs import PRIORITIES
from schemas.steps import StepKind
from tables.dispatch.caps import Caps
from tables.dispatch.executors import Executors
from tables.dispatch.history import History
from tables.dispatch.priority_queue import Chosen
from tables.dispatch.ready_queues import Attempt, ReadyQueues, State
from tables.dispatch.sessions import Session
from tables.dispatch.values import AttemptKey, Number, ReadyStep, Rules, StepKey, Turn, line_of

#: Ended steps whose late events are still known as such. Of others a late event costs a request that is revoked.
_REMEMBERED = 50_000
_NEVER = (0, 0)


class Ledger:
    """One attempt at most of each step."""

    def __init__(self, kinds: Mapping[str, StepKind], rules: Rules, history: History) -> None:
        self._kinds, self._rules, self.history = kinds, rules, history
        self.attempts: dict[StepKey, Attempt] = {}
        self.queues = ReadyQueues(kinds, rules)
        self.caps = Caps(rules)
        self.executors = Executors(kinds, rules.silent_s)
        self._ended: OrderedDict[StepKey, Number] = OrderedDict()
        #: Every step that was ever added.
        self.steps: dict[str, None] = {}

    def chosen(self, chosen: Chosen) -> Attempt:
        """The attempt that a queue has chosen."""
        candidate = chosen.candidate
        return self.attempts[candidate.entry[1], candidate.line.step]

    def is_news(self, key: StepKey, number: Number) -> bool:
        """Whether the attempt is later than what is known of its step."""
        known = self.attempts.get(key)
        return (self._ended.get(key, _NEVER) if known is None else known.number) < number

    def add(self, step: ReadyStep) -> Attempt:
        """A new attempt, in no queue yet; the one before it of the same step is over."""
        key = (step.job_id, step.step)
        if (known := self.attempts.get(key)) is not None:
            self.remove(known, listed=True)
        expected_s = step.expected_s
        if expected_s is None:
            expected_s = self.history.expected_s(step.step, step.size)
        cost_s = expected_s if expected_s is not None else self.history.typical_s(step.step)
        kind = self._kinds.get(step.step)
        heavy = kind is not None and kind.heavy
        attempt = self.attempts[key] = Attempt(
            key=key,
            number=(step.run, step.attempt),
            owner=step.owner or "",
            rank=PRIORITIES.index(step.priority),
            line=line_of(step.step, heavy and expected_s is not None and expected_s <= self._rules.short_s),
            entry=(max(step.since, step.run_at), step.job_id),
            cost_s=1.0 if cost_s is None else cost_s,
            brief=not heavy and expected_s is not None and expected_s < self._rules.brief_s,
            input_id=step.input_id,
            size=step.size,
        )
        self.steps[step.step] = None
        return attempt

    def hold(self, attempt: Attempt, session: Session | None, turn: Turn, state: State, now: float) -> None:
        """The attempt, in no queue now, occupies the session; None: one that is not known."""
        if attempt.state not in ("given", "accepted") and self.caps.begin(attempt.key[1], attempt.owner):
            self.queues.look_again()  # what its attempts stood before may be short enough to be queued ahead
        attempt.state, attempt.at = state, now
        attempt.session_id = session.report.session_id if session is not None else ""
        if session is not None:
            self.executors.hold(session, [(attempt.held_as, attempt.brief)], turn, at=now)

    def hold_run(self, attempts: Sequence[Attempt], session: Session, turn: Turn, now: float) -> None:
        """As `hold` does, for attempts of one step and owner that waited and are given together."""
        session_id = session.report.session_id
        if self.caps.begin(attempts[0].key[1], attempts[0].owner, len(attempts)):
            self.queues.look_again()
        for attempt in attempts:
            attempt.state, attempt.at, attempt.session_id = "given", now, session_id
        self.executors.hold(session, ((a.held_as, a.brief) for a in attempts), turn, at=now)

    def take_back(self, attempt: Attempt) -> None:
        """A given attempt waits again, at its old place. What occupies the session is not changed."""
        self._leave_caps(attempt)
        attempt.session_id = ""
        self.queues.add(attempt)

    def remove(self, attempt: Attempt, *, listed: bool) -> None:
        """The attempt is over; `listed`: a report on its way may still list it."""
        if attempt.state == "waiting":
            self.queues.remove(attempt)
        elif attempt.state != "later":
            self._leave_caps(attempt)
            session = self.executors.get(attempt.session_id)
            if session is not None:
                session.end(attempt.held_as, listed=listed and not self.queues.of(attempt.key[1]).instant)
                self.executors.touch(session)
        del self.attempts[attempt.key]

    def remember(self, key: StepKey, number: Number) -> None:
        """The attempt is over: no late event brings it back."""
        self._ended[key] = number
        self._ended.move_to_end(key)
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)

    def held_by(self, session: Session, key: AttemptKey) -> Attempt | None:
        """The attempt, if it is this session's."""
        attempt = self.attempts.get((key[0], key[2]))
        if attempt is None or attempt.number != (key[1], key[3]):
            return None
        return attempt if attempt.session_id == session.report.session_id else None

    def take_back_given(self, session: Session) -> list[AttemptKey]:
        """What the session has not accepted waits again. Returns what it has accepted."""
        accepted = []
        for key in list(session.held):
            attempt = self.held_by(session, key)
            if attempt is not None and attempt.state == "given":
                self.take_back(attempt)
            elif attempt is not None:
                accepted.append(key)
        return accepted

    def drop_strays(self, session: Session, unlisted: list[AttemptKey], before: float) -> None:
        """What the session's report does not list, and is not its own any more, was never there or has gone."""
        for key in unlisted:
            if self.held_by(session, key) is None and session.held[key].at <= before:
                session.drop(key)
        self.executors.touch(session)

    def _leave_caps(self, attempt: Attempt) -> None:
        if self.caps.is_capped(attempt.key[1]):
            self.queues.of(attempt.key[1]).is_changed = True
        if self.caps.end(attempt.key[1], attempt.owner):
            self.queues.release(attempt.owner)

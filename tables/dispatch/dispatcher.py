"""The dispatcher of one lane, pure: decides which executor gets which ready step. Time is an argument.

Events may repeat, come late or out of order; what is older than what is known changes nothing. Whoever feeds it calls
`give` after each batch of events, and `tick` at `next_wake`.
"""

from collections import deque
from collections.abc import Mapping
from heapq import heapify, heappop, heappush

from msgspec.structs import replace

from schemas.executors import ExecutorReport
from schemas.steps import StepKind
from tables.dispatch.giving import Giver
from tables.dispatch.history import History
from tables.dispatch.ledger import Ledger
from tables.dispatch.ready_queues import Attempt
from tables.dispatch.startup import Startup
from tables.dispatch.values import AttemptKey, Give, Phase, Poke, ReadyStep, Rules, StepKey, Turn

#: Entries for later that may be stale.
_SLACK = 1_000


class Dispatcher:
    """Ready steps in, gives out. `number`: of this dispatcher among those of its lane; a later one has a higher one."""

    def __init__(
        self, kinds: Mapping[str, StepKind], rules: Rules, number: int = 0, history: History | None = None
    ) -> None:
        self.rules = rules
        self.ledger = Ledger(kinds, rules, history or History())
        self._start = Startup(number, rules.poke_s)
        #: (until when it must be accepted, the attempt, when it was given), in order of time.
        self._given: deque[tuple[float, StepKey, float]] = deque()
        self._later: list[tuple[float, StepKey]] = []

    # Starting

    @property
    def phase(self) -> Phase:
        """See tables/dispatch/startup.py."""
        return self._start.phase

    def begin(self, now: float) -> list[Poke]:
        """Rows and reports were read. Returns the pokes to be written."""
        executors, number = self.ledger.executors, self._start.poke
        executors.fall_silent(now)
        living = [session.report for session in executors.sessions() if not session.silent]
        self._start.begin([report.session_id for report in living if report.poke < number], now)
        return executors.pokes(number)

    def caught_up(self) -> None:
        """Step events were read to the end as it was when the phase `reading` began."""
        self._start.caught_up()

    # Steps

    def ready(self, step: ReadyStep, now: float) -> None:
        """The step's time has come, or it was asked for again. Once its attempt is known, nothing happens."""
        if not self.ledger.is_news((step.job_id, step.step), (step.run, step.attempt)):
            return
        attempt = self.ledger.add(step)
        if step.run_at > now:
            attempt.state, attempt.at = "later", step.run_at
            heappush(self._later, (step.run_at, attempt.key))
            self._forget_cancelled()
        else:
            self.ledger.queues.add(attempt)

    def accepted(self, step: ReadyStep, session_id: str, now: float) -> None:
        """An executor owns the attempt, as the row has it: no second acceptance, which is revoked, comes here."""
        attempt = self.ledger.attempts.get((step.job_id, step.step))
        if attempt is None or attempt.number != (step.run, step.attempt):
            if not self.ledger.is_news((step.job_id, step.step), (step.run, step.attempt)):
                return
            attempt = self.ledger.add(step)
            if self._start.phase == "loading":
                self.ledger.queues.charge_running(attempt)
        elif attempt.state == "accepted":
            return
        elif attempt.state == "waiting":
            self.ledger.queues.remove(attempt)
        elif attempt.state == "given" and attempt.session_id == session_id:
            attempt.state, attempt.at = "accepted", now
            return
        # By another session than the one it was given to: what that one does, its reports say.
        turn = _usual_turn(attempt, heavy=self.ledger.queues.of(step.step).heavy)
        self.ledger.hold(attempt, self.ledger.executors.get(session_id), turn, "accepted", now)

    def ended(self, key: AttemptKey, now: float, *, completed: bool = False) -> None:
        """The attempt is over, however it ended: completed, failed, released, its lease lost."""
        step_key, number = (key[0], key[2]), (key[1], key[3])
        known = self.ledger.attempts.get(step_key)
        if known is None or known.number <= number:
            self.ledger.remember(step_key, number)
        if known is None or known.number > number:
            return
        if known.state == "accepted" and known.number == number:
            self._account(known, now - known.at, completed=completed)
        self.ledger.remove(known, listed=True)

    def refused(self, key: AttemptKey, session_id: str, seq: int) -> None:
        """The session had no slot for the attempt; `seq`: the number of its last report then."""
        session = self.ledger.executors.get(session_id)
        if session is None:
            return
        session.quiet_seq = max(session.quiet_seq, seq)
        known = self.ledger.held_by(session, key)
        if known is None or known.state == "given":
            session.drop(key)
        self.ledger.executors.watch(session)
        if known is not None and known.state == "given":
            self.ledger.take_back(known)

    def cancelled(self, job_id: str) -> None:
        """Give none of the job's steps any more. What is accepted is ended by its own events."""
        for step in self.ledger.steps:
            attempt = self.ledger.attempts.get((job_id, step))
            if attempt is not None and attempt.state != "accepted":
                self.ledger.remember(attempt.key, attempt.number)
                self.ledger.remove(attempt, listed=False)

    # Settings

    def pause(self, step: str) -> None:
        """Give nothing of this step until it is resumed; what runs goes on."""
        self.ledger.caps.pause(step)

    def resume(self, step: str) -> None:
        """Give of this step again."""
        self.ledger.caps.resume(step)
        self.ledger.queues.look_again()

    def limit(self, step: str, max_active: int | None) -> None:
        """At most so many attempts of the step at a time over all executors; None: any number."""
        self.ledger.caps.limit(step, max_active)
        self.ledger.queues.look_again()

    def change(self, rules: Rules) -> None:
        """Other weights and caps of owners from now on; the rest of the rules stays."""
        weights, cap, caps = rules.weights, rules.owner_cap, rules.owner_caps
        self.rules = rules = replace(self.rules, weights=weights, owner_cap=cap, owner_caps=caps)
        self.ledger.queues.change(rules)
        for owner in self.ledger.caps.limit_owners(rules):
            self.ledger.queues.release(owner)
        self.ledger.queues.look_again()

    # Executors

    def report(self, report: ExecutorReport, at: float, now: float) -> list[AttemptKey]:
        """An executor has reported, `at` the date of the record.

        Returns accepted attempts that were lost with the executor's session before this one: their leases may be
        ended at once.
        """
        # One that is first seen later began after the pokes were written, so no older request is for it.
        poke = self._start.poke if self._start.phase == "loading" else 0
        reported = self.ledger.executors.report(report, at, poke)
        if reported is None:
            return []
        self.ledger.drop_strays(reported.session, reported.unlisted, at - self.rules.accept_s)
        if report.poke >= self._start.poke:
            self._start.answered(report.session_id, now)
        if reported.replaced is None:
            return []
        self._start.answered(reported.replaced.report.session_id, now)
        return self.ledger.take_back_given(reported.replaced)

    def gone(self, executor_id: str, now: float) -> list[AttemptKey]:
        """The executor's report was removed from the topic. Returns as `report` does."""
        session = self.ledger.executors.remove(executor_id)
        if session is None:
            return []
        self._start.answered(session.report.session_id, now)
        return self.ledger.take_back_given(session)

    # Time

    def tick(self, now: float, read_until: float | None = None) -> None:
        """Act on what is due. `read_until`: step events that were written before are known; by default, all are.

        An attempt counts as not accepted only where its acceptance would be known.
        """
        while self._later and self._later[0][0] <= now:
            attempt = self.ledger.attempts.get(heappop(self._later)[1])
            if attempt is not None and attempt.state == "later" and attempt.at <= now:
                self.ledger.queues.add(attempt)
        for session in self.ledger.executors.fall_silent(now):
            self._start.answered(session.report.session_id, now)
            self.ledger.take_back_given(session)
        while self._given and self._given[0][0] <= (now if read_until is None else min(now, read_until)):
            _, key, at = self._given.popleft()
            attempt = self.ledger.attempts.get(key)
            if attempt is not None and attempt.state == "given" and attempt.at == at:
                self._mute(attempt)
        self._start.tick(now)

    def is_overdue(self, now: float) -> bool:
        """Whether something that was given may not have been accepted in time."""
        return bool(self._given) and self._given[0][0] <= now

    def next_wake(self) -> float | None:
        """When `tick` has something to do; None: not before something else happens."""
        due = [self._later[0][0] if self._later else None, self._given[0][0] if self._given else None]
        due += [self.ledger.executors.next_check(), self._start.next_wake]
        return min((at for at in due if at is not None), default=None)

    def give(self, now: float) -> list[Give]:
        """Everything that can be given now: each ready step that a usable session has room for, in order."""
        if self._start.phase != "giving":
            return []
        gives = Giver(self.ledger, self.rules.batch, now).give()
        due_at = now + self.rules.accept_s
        self._given.extend([(due_at, (given.job_id, given.step), now) for given in gives])
        return gives

    def _forget_cancelled(self) -> None:
        """What was cancelled long before its time is not kept until then."""
        if len(self._later) > 2 * len(self.ledger.attempts) + _SLACK:
            attempts = self.ledger.attempts.values()
            self._later = [(attempt.at, attempt.key) for attempt in attempts if attempt.state == "later"]
            heapify(self._later)

    def _mute(self, attempt: Attempt) -> None:
        """It was not accepted in time. The session may have it all the same, so it stays occupied until it reports."""
        session = self.ledger.executors.get(attempt.session_id)
        if session is not None:
            session.quiet_seq = max(session.quiet_seq, session.report.seq)
            self.ledger.executors.watch(session)
        self.ledger.take_back(attempt)

    def _account(self, attempt: Attempt, took_s: float, *, completed: bool) -> None:
        """Charge its owner what it took."""
        if not self.ledger.queues.of(attempt.key[1]).instant:
            self.ledger.queues.charge(attempt, took_s)
        if completed:
            self.ledger.history.learn(attempt.key[1], attempt.size, took_s)


def _usual_turn(attempt: Attempt, *, heavy: bool) -> Turn:
    """The turn that such an attempt has, until a report says better."""
    if not heavy:
        return ""
    return "short" if attempt.line.short else "full"

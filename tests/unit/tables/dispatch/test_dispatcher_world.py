"""A dispatcher among executors and a log that repeat, reorder, lose and delay whatever they like."""

from collections import Counter
from typing import Any, NamedTuple

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from schemas.executors import HeldAttempt
from schemas.jobs import PRIORITIES
from tables.dispatch.dispatcher import Dispatcher
from tables.dispatch.values import AttemptKey, Give, ReadyStep, Rules, StepKey
from tests.unit.tables.dispatch.lane import KINDS, key_of, ready, report
from tests.unit.tables.dispatch.naive import gives_of

EXECUTORS, OWNERS = "abc", ("ann", "ben", None)
SLOTS = {"probe": 2, "transcode": 2, "transcribe": 1, "noop": 3}


class Row:
    """What control keeps of a step: only the first acceptance of the current attempt counts."""

    def __init__(self, step: ReadyStep) -> None:
        self.step, self.lease, self.done = step, "", False


class Sent(NamedTuple):
    """When an attempt was last given, to whom, and whether that was called off since."""

    at: float
    session_id: str


class World(RuleBasedStateMachine):
    """Each rule is one thing that happens; `give` compares with what must be given."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.dispatcher = Dispatcher(KINDS, Rules(patience=2, batch=2, weights={"ann": 2.0}))
        self.dispatcher.begin(self.now)
        self.dispatcher.caught_up()
        self.rows: dict[StepKey, Row] = {}
        self.seqs, self.starts = Counter[str](), Counter[str](EXECUTORS)
        self.requests: list[Give] = []
        #: By session: what it has accepted and not ended.
        self.running: dict[str, dict[AttemptKey, Give]] = {}
        self.late: list[tuple[Any, ...]] = []
        self.sent: dict[AttemptKey, Sent] = {}
        self.called_off: set[tuple[AttemptKey, str]] = set()
        self.reported_at: dict[str, float] = {}
        self.number = 0

    def session(self, executor: str) -> str:
        return f"{executor}/{self.starts[executor]}"

    # Jobs

    @rule(
        step=st.sampled_from(list(SLOTS)),
        owner=st.sampled_from(OWNERS),
        priority=st.sampled_from(PRIORITIES),
        expected_s=st.sampled_from([None, 0.2, 5.0, 60.0]),
        since=st.integers(0, 3),
        later=st.sampled_from([0.0, 0.0, 3.0]),
        input_id=st.sampled_from([None, "film"]),
    )
    def a_step_becomes_ready(self, step: str, later: float, **more: Any) -> None:
        self.number += 1
        self.make_ready(ready(f"j{self.number}", step, run_at=self.now + later if later else 0.0, **more))

    def make_ready(self, step: ReadyStep) -> None:
        self.rows[step.job_id, step.step] = Row(step)
        self.dispatcher.ready(step, self.now)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def a_step_is_asked_for_again(self, data: Any) -> None:
        row = self.rows[data.draw(st.sampled_from(list(self.rows)))]
        if not row.lease and not row.done:
            self.dispatcher.ready(row.step, self.now)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def a_job_is_cancelled(self, data: Any) -> None:
        key = data.draw(st.sampled_from(list(self.rows)))
        if not self.rows[key].lease:
            self.rows[key].done = True
        self.dispatcher.cancelled(key[0])

    # Executors

    @rule(executor=st.sampled_from(EXECUTORS), late=st.booleans(), draining=st.booleans(), cached=st.booleans())
    def an_executor_reports(self, executor: str, late: bool, draining: bool, cached: bool) -> None:
        self.seqs[executor] += 1
        held = tuple(
            HeldAttempt(job_id=g.job_id, run=g.run, step=g.step, attempt=g.attempt, turn=g.turn)
            for g in self.running.get(self.session(executor), {}).values()
            if g.step != "noop"
        )
        more = {"attempts": held, "draining": draining and late, "cached": ("film",) if cached else ()}
        word = ("report", report(executor, self.seqs[executor], self.starts[executor], SLOTS, **more), self.now)
        self.late.append(word) if late else self.deliver(*word)

    @rule(executor=st.sampled_from(EXECUTORS))
    def an_executor_restarts(self, executor: str) -> None:
        self.running.pop(self.session(executor), None)
        self.starts[executor] += 1
        self.an_executor_reports(executor, late=False, draining=False, cached=False)

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), answer=st.sampled_from(["accept", "accept", "accept", "refuse", "lose"]), late=st.booleans())
    def a_request_arrives(self, data: Any, answer: str, late: bool) -> None:
        given = self.requests.pop(data.draw(st.integers(0, len(self.requests) - 1)))
        executor = given.session_id[0]
        if given.session_id != self.session(executor) or answer == "lose":
            return
        if answer == "accept":
            self.running.setdefault(given.session_id, {})[key_of(given)] = given
        word = (answer, given, self.seqs[executor])
        self.late.append(word) if late else self.deliver(*word)

    @precondition(lambda self: any(self.running.values()))
    @rule(data=st.data(), how=st.sampled_from(["completed", "failed"]), late=st.booleans())
    def an_attempt_ends(self, data: Any, how: str, late: bool) -> None:
        running = [(session, key) for session, held in self.running.items() for key in held]
        session, key = data.draw(st.sampled_from(running))
        given = self.running[session].pop(key)
        self.late.append((how, given, 0)) if late else self.deliver(how, given, 0)

    @precondition(lambda self: self.late)
    @rule(data=st.data(), twice=st.booleans())
    def a_late_word_arrives(self, data: Any, twice: bool) -> None:
        index = data.draw(st.integers(0, len(self.late) - 1))
        self.deliver(*(self.late[index] if twice else self.late.pop(index)))

    @precondition(lambda self: any(row.lease for row in self.rows.values()))
    @rule(data=st.data())
    def a_lease_is_lost(self, data: Any) -> None:
        leased = [key for key, row in self.rows.items() if row.lease]
        self.end_row(data.draw(st.sampled_from(leased)), completed=False)

    def deliver(self, what: str, about: Any, extra: Any) -> None:
        """A word reaches control."""
        if what == "report":
            self.deliver_report(about, extra)
        elif what == "refuse":
            self.called_off.add((key_of(about), about.session_id))
            self.dispatcher.refused(key_of(about), about.session_id, extra)
        elif what == "accept":
            self.deliver_acceptance(about)
        else:
            self.deliver_acceptance(about)  # an end may carry the claim
            row = self.rows[about.job_id, about.step]
            if row.lease == about.session_id and row.step.attempt == about.attempt:
                self.end_row((about.job_id, about.step), completed=what == "completed")

    def deliver_report(self, about: Any, at: float) -> None:
        before = self.dispatcher.ledger.executors._by_executor.get(about.executor_id)
        self.dispatcher.report(about, at, self.now)
        after = self.dispatcher.ledger.executors._by_executor[about.executor_id]
        self.reported_at[after.report.session_id] = after.reported_at
        if before is not None and before is not after:
            self.called_off.update((key, before.report.session_id) for key in self.sent)

    def deliver_acceptance(self, given: Give) -> None:
        row = self.rows[given.job_id, given.step]
        if row.done or row.step.attempt != given.attempt or row.lease not in ("", given.session_id):
            self.running.get(given.session_id, {}).pop(key_of(given), None)  # revoked
            return
        row.lease = given.session_id
        self.dispatcher.accepted(row.step, given.session_id, self.now)

    def end_row(self, key: StepKey, *, completed: bool) -> None:
        row = self.rows[key]
        self.dispatcher.ended(key_of(row.step), self.now, completed=completed)
        row.lease, row.done = "", completed
        if not completed:
            more = {name: getattr(row.step, name) for name in ("owner", "priority", "expected_s", "since")}
            self.make_ready(ready(key[0], key[1], row.step.attempt + 1, **more))

    # Settings and time

    @rule(step=st.sampled_from(list(SLOTS)), what=st.sampled_from(["pause", "resume", "resume"]))
    def a_queue_changes(self, step: str, what: str) -> None:
        getattr(self.dispatcher, what)(step)

    @rule(step=st.sampled_from(list(SLOTS)), limit=st.sampled_from([None, 1, 2]), cap=st.sampled_from([None, 1, 3]))
    def caps_change(self, step: str, limit: int | None, cap: int | None) -> None:
        self.dispatcher.limit(step, limit)
        self.dispatcher.change(Rules(weights={"ben": 3.0}, owner_cap=cap, owner_caps={"ann": 2}))

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.5, 7.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.dispatcher.tick(self.now)

    # Gives

    @rule()
    def control_gives(self) -> None:
        self.give()

    def give(self) -> list[Give]:
        expected = gives_of(self.dispatcher)
        gives = self.dispatcher.give(self.now)
        assert gives == expected
        for given in gives:
            self.check(given)
        self.requests += gives
        return gives

    def check(self, given: Give) -> None:
        key, row = key_of(given), self.rows[given.job_id, given.step]
        assert not row.lease and not row.done, "what is owned or over was given"
        assert row.step.attempt == given.attempt and row.step.run_at <= self.now
        before = self.sent.get(key)
        if before is not None and (key, before.session_id) not in self.called_off:
            silent = self.now - self.reported_at[before.session_id] >= self.dispatcher.rules.silent_s
            assert silent or self.now - before.at >= self.dispatcher.rules.accept_s, (
                "two sessions were given the same attempt"
            )
        self.called_off.discard((key, given.session_id))
        self.sent[key] = Sent(self.now, given.session_id)

    def teardown(self) -> None:
        """When nothing goes wrong any more, every ready step is worked on and ends."""
        self.now += 10.0
        self.late.clear()
        self.requests.clear()
        for step in SLOTS:
            self.dispatcher.resume(step)
            self.dispatcher.limit(step, None)
        for key in [key for key, row in self.rows.items() if row.lease]:
            self.end_row(key, completed=True)
        self.running.clear()
        self.dispatcher.tick(self.now)
        for _ in range(2 * len(self.rows) + 2):
            self.now += 3.0
            for executor in EXECUTORS:
                self.an_executor_reports(executor, late=False, draining=False, cached=False)
            self.dispatcher.tick(self.now)
            for given in self.give():
                self.deliver("completed", given, 0)
            self.requests.clear()
        assert [key for key, row in self.rows.items() if not row.done] == []
        assert not self.dispatcher.ledger.attempts


World.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=60, deadline=None)
TestDispatcher = World.TestCase

"""A lane to try a dispatcher in: executors as reports, and the words in which they answer."""

from typing import Any

from schemas.executors import ExecutorReport, HeldAttempt, StepSlots
from schemas.steps import StepKind
from tables.dispatch.dispatcher import Dispatcher
from tables.dispatch.values import AttemptKey, Give, ReadyStep, Rules

KINDS = {
    kind.name: kind
    for kind in (
        StepKind(name="probe", slots=2),
        StepKind(name="audio", slots=2),
        StepKind(name="transcode", slots=2, heavy=True),
        StepKind(name="transcribe", slots=1, heavy=True),
        StepKind(name="noop", slots=1024, instant=True),
    )
}
SLOTS = {name: kind.slots for name, kind in KINDS.items()}


def report(
    executor: str, seq: int = 1, start: int = 1, slots: dict[str, int] | None = None, **more: Any
) -> ExecutorReport:
    """Report `seq` of the executor's session number `start`."""
    steps = {step: StepSlots(slots=count) for step, count in (SLOTS if slots is None else slots).items()}
    about: dict[str, Any] = {
        "executor_id": executor,
        "session_id": f"{executor}/{start}",
        "address": 0,
        "lane": "default",
        "version": "1",
        "seq": seq,
        "steps": steps,
    }
    return ExecutorReport(**(about | more))


def ready(job: str, step: str = "probe", attempt: int = 1, **more: Any) -> ReadyStep:
    """A ready step of a job that began to wait at time 0."""
    return ReadyStep(job_id=job, step=step, run=1, attempt=attempt, **({"since": 0.0} | more))


def key_of(given: Give | ReadyStep) -> AttemptKey:
    return (given.job_id, given.run, given.step, given.attempt)


def listed(*gives: Give) -> tuple[HeldAttempt, ...]:
    """What a report says of attempts that run."""
    return tuple(HeldAttempt(job_id=g.job_id, run=g.run, step=g.step, attempt=g.attempt, turn=g.turn) for g in gives)


def jobs(gives: list[Give]) -> list[str]:
    return [given.job_id for given in gives]


class Lane:
    """A dispatcher that gives, and a clock."""

    def __init__(self, *reports: ExecutorReport, rules: Rules | None = None) -> None:
        self.now = 100.0
        self.dispatcher = Dispatcher(KINDS, rules or Rules())
        for first in reports:
            self.dispatcher.report(first, self.now, self.now)
        self.dispatcher.begin(self.now)
        self.dispatcher.caught_up()
        assert self.dispatcher.phase == "giving"

    def ready(self, *steps: ReadyStep) -> None:
        for step in steps:
            self.dispatcher.ready(step, self.now)

    def report(self, report: ExecutorReport, age_s: float = 0.0) -> list[AttemptKey]:
        return self.dispatcher.report(report, self.now - age_s, self.now)

    def give(self) -> list[Give]:
        return self.dispatcher.give(self.now)

    def accept(self, *gives: Give) -> None:
        for g in gives:
            known = self.dispatcher.ledger.attempts[g.job_id, g.step]
            step = ready(g.job_id, g.step, g.attempt, owner=known.owner)
            self.dispatcher.accepted(step, g.session_id, self.now)

    def end(self, *gives: Give, completed: bool = True) -> None:
        for given in gives:
            self.dispatcher.ended(key_of(given), self.now, completed=completed)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.dispatcher.tick(self.now)

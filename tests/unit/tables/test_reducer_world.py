"""The state machine among executors and a log that repeat, reorder, lose and delay."""

from itertools import count
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import to_builtins

from schemas.base import ErrorRecord, Message, StepWarning
from schemas.commands import CancelJob, DeleteJob, RetryJob
from schemas.facts import JobCancelled, JobCompleted, JobFailed, StepCompleted
from schemas.jobs import JOB_ENDED, STEP_PASSED, DeletedJob, Job, Step
from schemas.step_events import (
    AttemptAccepted,
    AttemptCancelled,
    AttemptCompleted,
    AttemptEnded,
    AttemptFailed,
    AttemptHeartbeat,
    AttemptReleased,
    AttemptSkipped,
    Claim,
    DispatchDue,
    LeaseExpired,
    RetryDue,
    StepEvent,
    StepRequested,
)
from tables.effects import event_id, implied_effects
from tables.policies import MAX_LOSSES
from tables.reducer import advance
from tests.properties import examples
from tests.unit.tables.example_job import BROKEN, BUSY, DIAMOND, accept, event_of, optional, step_of, submit

DAMAGE = {"code": "media-damaged", "message": "A part is damaged.", "start_ms": 1000}


def is_passed(step: Step) -> bool:
    return step.status in STEP_PASSED or (step.status == "failed" and step.spec.optional)


def is_missing(job: Job, step: Step) -> bool:
    """Whether the step failed, or needs one that did."""
    return step.status == "failed" or any(is_missing(job, step_of(job, name)) for name in step.spec.needs)


class World(RuleBasedStateMachine):
    """A job among executors and a log that repeat, reorder, lose and delay whatever they like."""

    def __init__(self) -> None:
        super().__init__()
        self.job: Job | None = None
        self.deleted: DeletedJob | None = None
        self.requests: list[StepRequested] = []
        self.leases: list[AttemptAccepted] = []
        self.events: list[Message] = []
        self.published: dict[str, set[str]] = {}
        self.ends: dict[int, set[str]] = {}
        self.warnings: dict[int, tuple[StepWarning, ...]] = {}
        self.now = 0.0
        self.numbers = count(1)

    @initialize(names=st.sets(st.sampled_from([spec.name for spec in DIAMOND])))
    def begin(self, names: set[str]) -> None:
        self.steps = optional(DIAMOND, *names)
        self.deliver(submit(self.steps), lost=False)

    def deliver(self, event: Message, *, lost: bool) -> None:
        """Apply an event; when they are lost, its effects are not delivered."""
        self.now += 1.0
        before = self.job
        after, effects = advance(self.deleted or self.job, event, self.now)
        if isinstance(after, DeletedJob):
            assert self.deleted in (None, after), "what is left of a job changed"
            assert self.job is not None and self.job.status in JOB_ENDED, "a running job was deleted"
            assert not any(isinstance(effect, StepRequested) for effect in effects), "a deleted job requested work"
            self.deleted = after
            return
        assert self.deleted is None, "a deleted job came back"
        self.job = after
        if before is not None and before.status in JOB_ENDED and not isinstance(event, RetryJob):
            assert self.job is before, "an ended job changed"
        for effect in effects:
            self.note(effect)
            if isinstance(effect, StepRequested) and not lost:
                self.requests.append(effect)

    def note(self, effect: Message) -> None:
        if isinstance(effect, JobCompleted):
            assert self.job is not None
            absent = {step.spec.name for step in self.job.steps if is_missing(self.job, step)}
            assert {warning.step for warning in effect.warnings if warning.code != "media-damaged"} == absent
            assert self.warnings.setdefault(effect.run, effect.warnings) == effect.warnings, "a repeat differs"
        if isinstance(effect, StepCompleted):
            self.published.setdefault(effect.step, set()).add(event_id(effect))
        if isinstance(effect, (JobCompleted, JobFailed, JobCancelled)):
            self.ends.setdefault(effect.run, set()).add(effect.TYPE)

    @precondition(lambda self: self.requests)
    @rule(which=st.randoms(use_true_random=False), lost=st.booleans())
    def an_executor_accepts(self, which: object, lost: bool) -> None:
        request = which.choice(self.requests)  # type: ignore[attr-defined]
        acceptance = AttemptAccepted(
            job_id=request.job_id,
            asset_id=request.asset_id,
            run=request.run,
            step=request.step,
            attempt=request.attempt,
            lease_id=f"L{next(self.numbers)}",
            executor_id="x",
            requested_at=request.requested_at,
            request_partition=0,
        )
        self.leases.append(acceptance)
        self.events.append(acceptance)
        if not lost:
            self.deliver(acceptance, lost=False)

    @precondition(lambda self: self.requests)
    @rule(
        which=st.randoms(use_true_random=False),
        kind=st.sampled_from([AttemptCompleted, AttemptSkipped, AttemptFailed]),
        lost=st.booleans(),
    )
    def an_executor_is_done_at_once(self, which: object, kind: type[AttemptEnded], lost: bool) -> None:
        """One event that accepts and ends does what two do, one after the other."""
        request = which.choice(self.requests)  # type: ignore[attr-defined]
        about = {name: getattr(request, name) for name in ("job_id", "asset_id", "run", "step", "attempt")}
        about["lease_id"] = f"L{next(self.numbers)}"
        claim = Claim(executor_id="x", requested_at=request.requested_at, request_partition=0)
        acceptance = AttemptAccepted(**about, **to_builtins(claim))
        more: dict[Any, dict[str, Any]] = {AttemptSkipped: {"reason": "no-audio-track"}, AttemptFailed: {"error": BUSY}}
        state: Any = self.deleted or self.job
        between, effects = advance(state, acceptance, self.now + 1.0)
        after, later = advance(between, kind(**about, **more.get(kind, {})), self.now + 1.0)
        event = kind(**about, **more.get(kind, {}), claim=claim)
        both, effects_of_both = advance(state, event, self.now + 1.0)
        assert both == after
        if after is not state:
            assert effects_of_both == effects + later
        self.leases.append(acceptance)
        self.events.append(event)
        self.deliver(event, lost=lost)

    @precondition(lambda self: self.leases)
    @rule(
        which=st.randoms(use_true_random=False),
        kind=st.sampled_from(
            [AttemptCompleted, AttemptSkipped, AttemptReleased, AttemptCancelled, LeaseExpired, AttemptHeartbeat]
        ),
        late=st.booleans(),
        lost=st.booleans(),
    )
    def a_lease_ends(self, which: object, kind: type[StepEvent], late: bool, lost: bool) -> None:
        more: dict[type[StepEvent], dict[str, object]] = {
            AttemptCompleted: {"outputs": {"n": next(self.numbers), "warnings": [DAMAGE] * (next(self.numbers) % 2)}},
            AttemptSkipped: {"reason": "no-audio-track"},
            AttemptHeartbeat: {"executor_id": "x"},
        }
        self.speak(which, kind, late, lost, **more.get(kind, {}))

    @precondition(lambda self: self.leases)
    @rule(
        which=st.randoms(use_true_random=False),
        error=st.sampled_from([BUSY, BUSY, BROKEN]),
        late=st.booleans(),
        lost=st.booleans(),
    )
    def an_attempt_fails(self, which: object, error: ErrorRecord, late: bool, lost: bool) -> None:
        self.speak(which, AttemptFailed, late, lost, error=error)

    def speak(self, which: object, kind: type[StepEvent], late: bool, lost: bool, **more: Any) -> None:
        lease: AttemptAccepted = which.choice(self.leases)  # type: ignore[attr-defined]
        place: dict[str, Any] = {
            name: getattr(lease, name) for name in ("job_id", "asset_id", "run", "step", "attempt", "lease_id")
        }
        event = kind(**place, **more)
        self.events.append(event)
        if late:
            return
        assert self.job is not None
        step = step_of(self.job, lease.step)
        owned = step.status == "active" and step.lease is not None and step.lease.id == lease.lease_id
        before = self.job
        self.deliver(event, lost=lost)
        assert self.deleted is not None or owned or self.job is before, "a lease that owns nothing changed the job"

    @precondition(lambda self: self.events)
    @rule(which=st.randoms(use_true_random=False), lost=st.booleans())
    def an_old_event_comes_again(self, which: object, lost: bool) -> None:
        self.deliver(which.choice(self.events), lost=lost)  # type: ignore[attr-defined]

    @rule(which=st.randoms(use_true_random=False), lost=st.booleans())
    def time_passes(self, which: object, lost: bool) -> None:
        assert self.job is not None
        step: Step = which.choice(self.job.steps)  # type: ignore[attr-defined]
        name = step.spec.name
        due = event_of(RetryDue, self.job, name)
        if step.status == "waiting":
            self.deliver(event_of(DispatchDue, self.job, name, dispatches=step.dispatches), lost=lost)
        self.events.append(due)
        self.deliver(due, lost=lost)

    @rule(lost=st.booleans())
    def somebody_cancels(self, lost: bool) -> None:
        self.deliver(CancelJob(job_id="job_1", asset_id="asset_1"), lost=lost)

    @rule(lost=st.booleans())
    def somebody_submits_it_again(self, lost: bool) -> None:
        self.deliver(submit(self.steps), lost=lost)

    @rule(sure=st.integers(0, 5), lost=st.booleans())
    def somebody_deletes(self, sure: int, lost: bool) -> None:
        if sure == 0:
            self.deliver(DeleteJob(job_id="job_1", asset_id="asset_1"), lost=lost)

    @rule(run=st.integers(1, 3), lost=st.booleans())
    def somebody_retries(self, run: int, lost: bool) -> None:
        self.deliver(RetryJob(job_id="job_1", asset_id="asset_1", run=run), lost=lost)

    @invariant()
    def no_step_runs_before_what_it_comes_after(self) -> None:
        for step in self.job.steps if self.job else ():
            if step.status == "active" or step.requested_at is not None:
                assert self.job is not None
                assert all(is_passed(step_of(self.job, name)) for name in step.spec.after)

    @invariant()
    def no_step_runs_without_what_it_needs(self) -> None:
        for step in self.job.steps if self.job else ():
            if step.status in ("active", "completed", "delayed"):
                assert self.job is not None
                assert all(step_of(self.job, name).status == "completed" for name in step.spec.needs)

    @invariant()
    def a_job_ends_by_what_it_cannot_do_without(self) -> None:
        if self.job is not None and self.job.status == "completed":
            assert all(is_passed(step) for step in self.job.steps)
        if self.job is not None and self.job.status == "failed":
            errors = [step.error for step in self.job.steps if step.status == "failed" and not step.spec.optional]
            assert self.job.error in errors

    @invariant()
    def attempts_never_exceed_the_policy(self) -> None:
        for step in self.job.steps if self.job else ():
            assert step.failures <= step.spec.retry.attempts
            assert step.losses <= MAX_LOSSES + 1

    @invariant()
    def there_is_one_completion_per_step_and_one_end_per_run(self) -> None:
        assert all(len(ids) == 1 for ids in self.published.values())
        assert all(len(ends) == 1 for ends in self.ends.values())

    def teardown(self) -> None:
        """Whatever was lost: from what is implied_effects alone, the job comes to an end."""
        for _ in range(200):
            if self.job is None or self.deleted is not None or self.job.status in JOB_ENDED:
                break
            self.help_on(self.job)
        assert self.job is None or self.job.status in JOB_ENDED

    def help_on(self, job: Job) -> None:
        for effect in implied_effects(job):
            if isinstance(effect, StepRequested):
                self.requests = [effect]
                lease = f"L{next(self.numbers)}"
                self.deliver(accept(job, effect.step, lease), lost=True)
        assert self.job is not None
        for step in self.job.steps:
            if step.status == "active" and step.lease is not None:
                self.deliver(event_of(AttemptCompleted, self.job, step.spec.name, lease_id=step.lease.id), lost=True)
            elif step.status == "delayed":
                self.deliver(event_of(RetryDue, self.job, step.spec.name), lost=True)


World.TestCase.settings = hypothesis_settings(max_examples=examples(150), stateful_step_count=40)
TestWorld = World.TestCase

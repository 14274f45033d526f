"""The state machine under duplicated, reordered, lost and stale events."""

from itertools import count
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from schemas.base import ErrorRecord, Message
from schemas.commands import CancelJob, DeleteJob, RetryJob, SubmitJob
from schemas.facts import JobCancelled, JobCompleted, JobDeleted, JobFailed, StepOmitted, StepPublished
from schemas.jobs import JOB_ENDED, STEP_PASSED, Grave, Input, Job, RetryPolicy, Step, StepSpec
from schemas.removals import RemoveArtifacts
from schemas.step_events import (
    DispatchDue,
    LeaseExpired,
    LeaseRevoked,
    RetryDue,
    StepAccepted,
    StepCancelled,
    StepCompleted,
    StepEvent,
    StepFailed,
    StepHeartbeat,
    StepReleased,
    StepRequested,
    StepSkipped,
)
from tables.policies import MAX_ASLEEP, MAX_LOSSES
from tables.reducer import advance
from tables.statements import event_id, outstanding

POLICY = RetryPolicy(attempts=3, delay_s=2.0, jitter=0.0)
PROBE, LEFT, RIGHT = (
    StepSpec(name="probe", retry=POLICY),
    StepSpec(name="transcode", after=("probe",), retry=POLICY),
    StepSpec(name="thumbnails", after=("probe",), retry=POLICY),
)
DIAMOND = (PROBE, LEFT, RIGHT, StepSpec(name="noop", after=("transcode", "thumbnails"), needs=("transcode",)))
BUSY = ErrorRecord(code="tool-failed", message="The tool failed.", retriable=True)
BROKEN = ErrorRecord(code="corrupt-media", message="The file is broken.")


def submit(steps: tuple[StepSpec, ...] = DIAMOND) -> SubmitJob:
    return SubmitJob(
        job_id="job_1", asset_id="asset_1", pipeline="p", steps=steps, input=Input(object="k"), submitted_at=0.0
    )


def submitted(steps: tuple[StepSpec, ...] = DIAMOND) -> tuple[Job, list[Message]]:
    job, effects = advance(None, submit(steps), 0.0)
    assert isinstance(job, Job)
    return job, effects


def told(job: Job, event: Message, now: float = 1.0) -> tuple[Job, list[Message]]:
    after, effects = advance(job, event, now)
    assert isinstance(after, Job)
    return after, effects


def step_of(job: Job, name: str) -> Step:
    return next(step for step in job.steps if step.spec.name == name)


def about(job: Job, name: str) -> dict[str, object]:
    step = step_of(job, name)
    return {"job_id": job.id, "asset_id": job.asset_id, "run": step.run, "step": name, "attempt": step.attempt}


def accept(job: Job, name: str, lease_id: str) -> StepAccepted:
    return StepAccepted(**about(job, name), lease_id=lease_id, executor_id="x", requested_at=0.0, request_partition=0)  # type: ignore[arg-type]


def say(kind: type[StepEvent], job: Job, name: str, **more: object) -> StepEvent:
    return kind(**about(job, name), **more)  # type: ignore[arg-type]


def active(lease_id: str = "L1") -> Job:
    """A job whose probe is owned by `lease_id`."""
    job, _ = submitted()
    return told(job, accept(job, "probe", lease_id))[0]


def kinds(effects: list[Message]) -> set[type[Message]]:
    return {type(effect) for effect in effects}


def test_a_submission_requests_the_steps_that_come_after_nothing() -> None:
    job, effects = submitted()
    assert [e.step for e in effects if isinstance(e, StepRequested)] == ["probe"]
    assert job.status == "waiting"


def test_the_same_submission_twice_says_the_same_with_the_same_ids() -> None:
    job, effects = submitted()
    again, repeated = told(job, submit())
    assert again is job
    assert [event_id(e) for e in repeated] == [event_id(e) for e in effects]


def test_the_first_acceptance_owns_the_lease_and_a_second_one_is_revoked() -> None:
    job = active("L1")
    after, effects = told(job, accept(job, "probe", "L2"))
    assert after is job
    assert isinstance(effects[0], LeaseRevoked) and effects[0].lease_id == "L2"


def test_a_replayed_acceptance_of_a_completed_lease_is_not_revoked() -> None:
    job = active("L1")
    acceptance = accept(job, "probe", "L1")
    done, _ = told(job, say(StepCompleted, job, "probe", lease_id="L1"))
    after, effects = told(done, acceptance)
    assert after is done
    assert LeaseRevoked not in kinds(effects)


def test_a_completion_publishes_and_requests_what_comes_after_with_its_outputs() -> None:
    job = active()
    _, effects = told(job, say(StepCompleted, job, "probe", lease_id="L1", outputs={"duration_s": 2.0}))
    requests = [e for e in effects if isinstance(e, StepRequested)]
    assert {r.step for r in requests} == {"transcode", "thumbnails"}
    assert requests[0].inputs == {"probe": {"duration_s": 2.0}}
    assert StepPublished in kinds(effects)


@pytest.mark.parametrize("kind", [StepCompleted, StepReleased, StepCancelled])
def test_a_lease_that_does_not_own_the_attempt_changes_nothing(kind: type[StepEvent]) -> None:
    job = active("L1")
    assert told(job, say(kind, job, "probe", lease_id="zombie"))[0] is job


def test_a_heartbeat_of_an_owner_is_not_answered_and_a_strangers_is_revoked() -> None:
    job = active("L1")
    assert told(job, say(StepHeartbeat, job, "probe", lease_id="L1", executor_id="x"))[1] == []
    _, effects = told(job, say(StepHeartbeat, job, "probe", lease_id="L2", executor_id="x"))
    assert kinds(effects) == {LeaseRevoked}


def test_an_unknown_job_is_disowned() -> None:
    job = active("L1")
    after, effects = advance(None, say(StepHeartbeat, job, "probe", lease_id="L1", executor_id="x"), 0.0)
    assert after is None and kinds(effects) == {LeaseRevoked}


def test_retriable_failures_are_tried_again_until_the_policy_ends() -> None:
    job, _ = submitted()
    for attempt in range(1, POLICY.attempts + 1):
        lease = f"L{attempt}"
        job, _ = told(job, accept(job, "probe", lease))
        job, _ = told(job, say(StepFailed, job, "probe", lease_id=lease, error=BUSY), now=10.0)
        if attempt < POLICY.attempts:
            assert step_of(job, "probe").due_at == 10.0 + 2.0**attempt
            job, _ = told(job, say(RetryDue, job, "probe"))
    assert job.status == "failed" and job.error == BUSY
    assert all(step.status in ("failed", "cancelled") for step in job.steps)


def test_the_inputs_fault_is_never_retried() -> None:
    job = active()
    job, effects = told(job, say(StepFailed, job, "probe", lease_id="L1", error=BROKEN))
    assert job.status == "failed" and step_of(job, "probe").attempt == 1
    assert JobFailed in kinds(effects)


def test_a_sleeping_endpoint_is_counted_apart_from_failures() -> None:
    asleep = ErrorRecord(code="endpoint-asleep", message="It is waking up.", retriable=True)
    job = active()
    job, _ = told(job, say(StepFailed, job, "probe", lease_id="L1", error=asleep), now=5.0)
    step = step_of(job, "probe")
    assert (step.status, step.failures, step.asleep, step.due_at) == ("delayed", 0, 1, 65.0)


def test_an_input_that_kills_every_executor_ends() -> None:
    job, _ = submitted()
    for loss in count(1):
        job, _ = told(job, accept(job, "probe", f"L{loss}"))
        job, _ = told(job, say(LeaseExpired, job, "probe", lease_id=f"L{loss}"))
        if job.status in JOB_ENDED:
            break
        job, _ = told(job, say(RetryDue, job, "probe"))
    assert job.error is not None and job.error.code == "executor-lost"
    assert loss == MAX_LOSSES + 1


def test_a_release_requests_the_step_again_and_is_no_failure() -> None:
    job = active()
    job, effects = told(job, say(StepReleased, job, "probe", lease_id="L1"))
    assert step_of(job, "probe").failures == 0
    assert [e.attempt for e in effects if isinstance(e, StepRequested)] == [2]


def test_what_needs_a_skipped_step_is_skipped_for_the_same_reason_and_what_only_follows_it_runs() -> None:
    steps = (
        PROBE,
        StepSpec(name="transcode", after=("probe",), needs=("probe",)),
        StepSpec(name="noop", after=("transcode",), needs=("transcode",)),
        StepSpec(name="thumbnails", after=("noop",)),
    )
    job, _ = submitted(steps)
    job, _ = told(job, accept(job, "probe", "L1"))
    job, effects = told(job, say(StepSkipped, job, "probe", lease_id="L1", reason="no-audio-track"))
    assert {step_of(job, name).reason for name in ("transcode", "noop")} == {"no-audio-track"}
    assert [e.step for e in effects if isinstance(e, StepOmitted)] == ["probe", "transcode", "noop"]
    assert [e.step for e in effects if isinstance(e, StepRequested)] == ["thumbnails"]


def test_a_request_says_how_often_a_sleeping_endpoint_may_be_waited_for() -> None:
    asleep = ErrorRecord(code="endpoint-asleep", message="It is waking up.", retriable=True)
    job, effects = submitted()
    left = [e.asleep_left for e in effects if isinstance(e, StepRequested)]
    for wait in range(MAX_ASLEEP):
        job, _ = told(job, accept(job, "probe", f"L{wait}"))
        job, _ = told(job, say(StepFailed, job, "probe", lease_id=f"L{wait}", error=asleep))
        job, effects = told(job, say(RetryDue, job, "probe"))
        left += [e.asleep_left for e in effects if isinstance(e, StepRequested)]
    assert left == [3, 2, 1, 0]
    assert step_of(job, "probe").failures == 0


def test_a_lost_request_is_requested_again_with_the_same_id() -> None:
    job, effects = submitted()
    first = next(e for e in effects if isinstance(e, StepRequested))
    again, effects = told(job, say(DispatchDue, job, "probe", dispatches=1), now=9.0)
    second = next(e for e in effects if isinstance(e, StepRequested))
    assert event_id(first) == event_id(second)
    assert told(again, say(DispatchDue, job, "probe", dispatches=1))[0] is again


def test_cancel_ends_waiting_steps_at_once_and_active_ones_through_a_revoke() -> None:
    job = active()
    job, effects = told(job, CancelJob(job_id=job.id, asset_id=job.asset_id))
    assert job.status == "active" and job.cancelling and LeaseRevoked in kinds(effects)
    job, effects = told(job, say(StepCancelled, job, "probe", lease_id="L1"))
    assert job.status == "cancelled" and JobCancelled in kinds(effects)


def test_a_silent_executor_of_a_cancelled_job_is_ended_by_its_lease() -> None:
    job = active()
    job, _ = told(job, CancelJob(job_id=job.id, asset_id=job.asset_id))
    job, _ = told(job, say(LeaseExpired, job, "probe", lease_id="L1"))
    assert job.status == "cancelled"


def test_a_retry_keeps_what_completed_and_happens_once_per_run() -> None:
    job = active()
    job, _ = told(job, say(StepCompleted, job, "probe", lease_id="L1", outputs={"a": 1}))
    job, _ = told(job, CancelJob(job_id=job.id, asset_id=job.asset_id))
    retry = RetryJob(job_id=job.id, asset_id=job.asset_id, run=1)
    job, effects = told(job, retry)
    assert job.run == 2 and step_of(job, "probe").outputs == {"a": 1}
    assert {e.step for e in effects if isinstance(e, StepRequested)} == {"transcode", "thumbnails"}
    assert told(job, retry)[0] is job


def ended() -> Job:
    """A job that was cancelled after its probe had published."""
    job = active()
    job, _ = told(job, say(StepCompleted, job, "probe", lease_id="L1", outputs={"a": 1}))
    return told(job, CancelJob(job_id=job.id, asset_id=job.asset_id))[0]


def delete(job: Job | Grave, *, artifacts: bool = True) -> DeleteJob:
    return DeleteJob(job_id=job.id, asset_id=job.asset_id, artifacts=artifacts)


def test_a_job_that_runs_cannot_be_deleted() -> None:
    job = active()
    assert advance(job, delete(job), 5.0) == (job, [])


def test_a_deletion_says_so_and_orders_the_published_files_away() -> None:
    job = ended()
    grave, effects = advance(job, delete(job), 5.0)
    assert isinstance(grave, Grave) and kinds(effects) == {JobDeleted, RemoveArtifacts}
    assert grave.prefixes == ("assets/asset_1/probe/1-L1",)
    assert kinds(advance(job, delete(job, artifacts=False), 5.0)[1]) == {JobDeleted}


def test_a_deletion_that_is_said_again_says_the_same_with_the_same_ids() -> None:
    job = ended()
    grave, effects = advance(job, delete(job), 5.0)
    assert isinstance(grave, Grave)
    again, repeated = advance(grave, delete(grave), 9.0)
    assert again is grave and [event_id(e) for e in repeated] == [event_id(e) for e in effects]


def test_nothing_brings_a_deleted_job_back() -> None:
    job = ended()
    grave, _ = advance(job, delete(job), 5.0)
    late = accept(job, "transcode", "L9")
    for event in (submit(), late, RetryJob(job_id=job.id, asset_id=job.asset_id, run=1)):
        assert advance(grave, event, 9.0)[0] is grave
    assert kinds(advance(grave, late, 9.0)[1]) == {LeaseRevoked}, "whoever works on it shall stop"


class World(RuleBasedStateMachine):
    """A job among executors and a log that repeat, reorder, lose and delay whatever they like."""

    def __init__(self) -> None:
        super().__init__()
        self.job: Job | None = None
        self.grave: Grave | None = None
        self.requests: list[StepRequested] = []
        self.leases: list[StepAccepted] = []
        self.events: list[Message] = []
        self.published: dict[str, set[str]] = {}
        self.ends: dict[int, set[str]] = {}
        self.now = 0.0
        self.numbers = count(1)

    @initialize()
    def begin(self) -> None:
        self.tell(submit(), lost=False)

    def tell(self, event: Message, *, lost: bool) -> None:
        """Apply an event; its effects reach nobody when they are lost."""
        self.now += 1.0
        before = self.job
        after, effects = advance(self.grave or self.job, event, self.now)
        if isinstance(after, Grave):
            assert self.grave in (None, after), "what is left of a job changed"
            assert self.job is not None and self.job.status in JOB_ENDED, "a running job was deleted"
            assert not any(isinstance(effect, StepRequested) for effect in effects), "a deleted job asked for work"
            self.grave = after
            return
        assert self.grave is None, "a deleted job came back"
        self.job = after
        if before is not None and before.status in JOB_ENDED and not isinstance(event, RetryJob):
            assert self.job is before, "an ended job changed"
        for effect in effects:
            self.note(effect)
            if isinstance(effect, StepRequested) and not lost:
                self.requests.append(effect)

    def note(self, effect: Message) -> None:
        if isinstance(effect, StepPublished):
            self.published.setdefault(effect.step, set()).add(event_id(effect))
        if isinstance(effect, (JobCompleted, JobFailed, JobCancelled)):
            self.ends.setdefault(effect.run, set()).add(effect.TYPE)

    @precondition(lambda self: self.requests)
    @rule(which=st.randoms(use_true_random=False), lost=st.booleans())
    def an_executor_accepts(self, which: object, lost: bool) -> None:
        request = which.choice(self.requests)  # type: ignore[attr-defined]
        acceptance = StepAccepted(
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
            self.tell(acceptance, lost=False)

    @precondition(lambda self: self.leases)
    @rule(
        which=st.randoms(use_true_random=False),
        kind=st.sampled_from([StepCompleted, StepSkipped, StepReleased, StepCancelled, LeaseExpired, StepHeartbeat]),
        late=st.booleans(),
        lost=st.booleans(),
    )
    def a_lease_ends(self, which: object, kind: type[StepEvent], late: bool, lost: bool) -> None:
        more: dict[type[StepEvent], dict[str, object]] = {
            StepCompleted: {"outputs": {"n": next(self.numbers)}},
            StepSkipped: {"reason": "no-audio-track"},
            StepHeartbeat: {"executor_id": "x"},
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
        self.speak(which, StepFailed, late, lost, error=error)

    def speak(self, which: object, kind: type[StepEvent], late: bool, lost: bool, **more: Any) -> None:
        lease: StepAccepted = which.choice(self.leases)  # type: ignore[attr-defined]
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
        self.tell(event, lost=lost)
        assert self.grave is not None or owned or self.job is before, "a lease that owns nothing changed the job"

    @precondition(lambda self: self.events)
    @rule(which=st.randoms(use_true_random=False), lost=st.booleans())
    def an_old_event_comes_again(self, which: object, lost: bool) -> None:
        self.tell(which.choice(self.events), lost=lost)  # type: ignore[attr-defined]

    @rule(which=st.randoms(use_true_random=False), lost=st.booleans())
    def time_passes(self, which: object, lost: bool) -> None:
        assert self.job is not None
        step: Step = which.choice(self.job.steps)  # type: ignore[attr-defined]
        name = step.spec.name
        due = say(RetryDue, self.job, name)
        if step.status == "waiting":
            self.tell(say(DispatchDue, self.job, name, dispatches=step.dispatches), lost=lost)
        self.events.append(due)
        self.tell(due, lost=lost)

    @rule(lost=st.booleans())
    def somebody_cancels(self, lost: bool) -> None:
        self.tell(CancelJob(job_id="job_1", asset_id="asset_1"), lost=lost)

    @rule(lost=st.booleans())
    def somebody_submits_it_again(self, lost: bool) -> None:
        self.tell(submit(), lost=lost)

    @rule(sure=st.integers(0, 5), lost=st.booleans())
    def somebody_deletes(self, sure: int, lost: bool) -> None:
        if sure == 0:
            self.tell(DeleteJob(job_id="job_1", asset_id="asset_1"), lost=lost)

    @rule(run=st.integers(1, 3), lost=st.booleans())
    def somebody_retries(self, run: int, lost: bool) -> None:
        self.tell(RetryJob(job_id="job_1", asset_id="asset_1", run=run), lost=lost)

    @invariant()
    def no_step_runs_before_what_it_comes_after(self) -> None:
        for step in self.job.steps if self.job else ():
            if step.status == "active" or step.requested_at is not None:
                assert self.job is not None
                assert all(step_of(self.job, name).status in STEP_PASSED for name in step.spec.after)

    @invariant()
    def no_step_runs_without_what_it_needs(self) -> None:
        for step in self.job.steps if self.job else ():
            if step.status in ("active", "completed", "delayed"):
                assert self.job is not None
                assert all(step_of(self.job, name).status == "completed" for name in step.spec.needs)

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
        """Whatever was lost: from what is outstanding alone, the job comes to an end."""
        for _ in range(200):
            if self.job is None or self.grave is not None or self.job.status in JOB_ENDED:
                break
            self.help_on(self.job)
        assert self.job is None or self.job.status in JOB_ENDED

    def help_on(self, job: Job) -> None:
        for effect in outstanding(job):
            if isinstance(effect, StepRequested):
                self.requests = [effect]
                lease = f"L{next(self.numbers)}"
                self.tell(accept(job, effect.step, lease), lost=True)
        assert self.job is not None
        for step in self.job.steps:
            if step.status == "active" and step.lease is not None:
                self.tell(say(StepCompleted, self.job, step.spec.name, lease_id=step.lease.id), lost=True)
            elif step.status == "delayed":
                self.tell(say(RetryDue, self.job, step.spec.name), lost=True)


World.TestCase.settings = hypothesis_settings(max_examples=150, stateful_step_count=40, deadline=None)
TestWorld = World.TestCase

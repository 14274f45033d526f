"""The state machine under duplicated, reordered, lost and stale events."""

from itertools import count

import pytest
from msgspec.json import encode
from msgspec.structs import replace

from schemas.base import ErrorRecord
from schemas.commands import CancelJob, DeleteJob, RetryJob
from schemas.facts import JobCancelled, JobCompleted, JobDeleted, JobFailed, StepCompleted, StepSkipped
from schemas.jobs import JOB_ENDED, DeletedJob, Job, StepSpec
from schemas.removals import RemoveArtifacts
from schemas.step_events import (
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptHeartbeat,
    AttemptReleased,
    AttemptSkipped,
    DispatchDue,
    LeaseExpired,
    LeaseRevoked,
    RetryDue,
    StepEvent,
    StepRequested,
)
from tables.effects import event_id
from tables.policies import MAX_ASLEEP, MAX_LOSSES
from tables.reducer import advance
from tests.unit.tables.example_job import (
    BROKEN,
    BUSY,
    DIAMOND,
    LEFT,
    POLICY,
    PROBE,
    accept,
    active,
    apply,
    event_of,
    kinds,
    optional,
    step_of,
    submit,
    submitted,
)


def test_a_submission_requests_the_steps_that_come_after_nothing() -> None:
    job, effects = submitted()
    assert [e.step for e in effects if isinstance(e, StepRequested)] == ["probe"]
    assert job.status == "waiting"


def test_the_same_submission_twice_says_the_same_with_the_same_ids() -> None:
    job, effects = submitted()
    again, repeated = apply(job, submit())
    assert again is job
    assert [event_id(e) for e in repeated] == [event_id(e) for e in effects]


def test_the_first_acceptance_owns_the_lease_and_a_second_one_is_revoked() -> None:
    job = active("L1")
    after, effects = apply(job, accept(job, "probe", "L2"))
    assert after is job
    assert isinstance(effects[0], LeaseRevoked) and effects[0].lease_id == "L2"


def test_a_replayed_acceptance_of_a_completed_lease_is_not_revoked() -> None:
    job = active("L1")
    acceptance = accept(job, "probe", "L1")
    done, _ = apply(job, event_of(AttemptCompleted, job, "probe", lease_id="L1"))
    after, effects = apply(done, acceptance)
    assert after is done
    assert LeaseRevoked not in kinds(effects)


def test_a_completion_publishes_and_requests_what_comes_after_with_its_outputs() -> None:
    job = active()
    _, effects = apply(job, event_of(AttemptCompleted, job, "probe", lease_id="L1", outputs={"duration_s": 2.0}))
    requests = [e for e in effects if isinstance(e, StepRequested)]
    assert {r.step for r in requests} == {"transcode", "thumbnails"}
    assert requests[0].inputs == {"probe": {"duration_s": 2.0}}
    assert StepCompleted in kinds(effects)


@pytest.mark.parametrize("kind", [AttemptCompleted, AttemptReleased, AttemptCancelled])
def test_a_lease_that_does_not_own_the_attempt_changes_nothing(kind: type[StepEvent]) -> None:
    job = active("L1")
    assert apply(job, event_of(kind, job, "probe", lease_id="zombie"))[0] is job


def test_a_heartbeat_of_an_owner_is_not_answered_and_a_strangers_is_revoked() -> None:
    job = active("L1")
    assert apply(job, event_of(AttemptHeartbeat, job, "probe", lease_id="L1", executor_id="x"))[1] == []
    _, effects = apply(job, event_of(AttemptHeartbeat, job, "probe", lease_id="L2", executor_id="x"))
    assert kinds(effects) == {LeaseRevoked}


def test_an_unknown_job_is_disowned() -> None:
    job = active("L1")
    after, effects = advance(None, event_of(AttemptHeartbeat, job, "probe", lease_id="L1", executor_id="x"), 0.0)
    assert after is None and kinds(effects) == {LeaseRevoked}


def test_retriable_failures_are_tried_again_until_the_policy_ends() -> None:
    job, _ = submitted()
    for attempt in range(1, POLICY.attempts + 1):
        lease = f"L{attempt}"
        job, _ = apply(job, accept(job, "probe", lease))
        job, _ = apply(job, event_of(AttemptFailed, job, "probe", lease_id=lease, error=BUSY), now=10.0)
        if attempt < POLICY.attempts:
            assert step_of(job, "probe").due_at == 10.0 + 2.0**attempt
            job, _ = apply(job, event_of(RetryDue, job, "probe"))
    assert job.status == "failed" and job.error == BUSY
    assert all(step.status in ("failed", "cancelled") for step in job.steps)


def test_what_happens_to_another_attempt_has_another_event_id() -> None:
    job, effects = submitted()
    for attempt in range(1, POLICY.attempts + 1):
        job, accepted = apply(job, accept(job, "probe", f"L{attempt}"))
        job, failed = apply(job, event_of(AttemptFailed, job, "probe", lease_id=f"L{attempt}", error=BUSY))
        due = [] if job.status == "failed" else [event_of(RetryDue, job, "probe")]
        for event in due:
            job, requested = apply(job, event)
            effects += requested
        effects += accepted + failed
    by_id: dict[str, set[bytes]] = {}
    for effect in effects:
        by_id.setdefault(event_id(effect), set()).add(encode(effect))
    assert job.status == "failed" and len(by_id) > 3 * POLICY.attempts
    assert {an_id for an_id, contents in by_id.items() if len(contents) > 1} == set()


def test_the_inputs_fault_is_never_retried() -> None:
    job = active()
    job, effects = apply(job, event_of(AttemptFailed, job, "probe", lease_id="L1", error=BROKEN))
    assert job.status == "failed" and step_of(job, "probe").attempt == 1
    assert JobFailed in kinds(effects)


def test_a_sleeping_endpoint_is_counted_apart_from_failures() -> None:
    asleep = ErrorRecord(code="endpoint-asleep", message="It is waking up.", retriable=True)
    job = active()
    job, _ = apply(job, event_of(AttemptFailed, job, "probe", lease_id="L1", error=asleep), now=5.0)
    step = step_of(job, "probe")
    assert (step.status, step.failures, step.asleep, step.due_at) == ("delayed", 0, 1, 65.0)


def test_an_input_that_kills_every_executor_ends() -> None:
    job, _ = submitted()
    for loss in count(1):
        job, _ = apply(job, accept(job, "probe", f"L{loss}"))
        job, _ = apply(job, event_of(LeaseExpired, job, "probe", lease_id=f"L{loss}"))
        if job.status in JOB_ENDED:
            break
        job, _ = apply(job, event_of(RetryDue, job, "probe"))
    assert job.error is not None and job.error.code == "executor-lost"
    assert loss == MAX_LOSSES + 1


def test_a_release_requests_the_step_again_and_is_no_failure() -> None:
    job = active()
    job, effects = apply(job, event_of(AttemptReleased, job, "probe", lease_id="L1"))
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
    job, _ = apply(job, accept(job, "probe", "L1"))
    job, effects = apply(job, event_of(AttemptSkipped, job, "probe", lease_id="L1", reason="no-audio-track"))
    assert {step_of(job, name).reason for name in ("transcode", "noop")} == {"no-audio-track"}
    assert [e.step for e in effects if isinstance(e, StepSkipped)] == ["probe", "transcode", "noop"]
    assert [e.step for e in effects if isinstance(e, StepRequested)] == ["thumbnails"]


def half_done(*names: str) -> Job:
    """A job whose left half, which it can do without if it is among `names`, has failed; the right one runs."""
    job, _ = submitted(optional(DIAMOND, *names))
    job, _ = apply(job, accept(job, "probe", "L1"))
    job, _ = apply(job, event_of(AttemptCompleted, job, "probe", lease_id="L1"))
    for name, lease_id in (("transcode", "L2"), ("thumbnails", "L3")):
        job, _ = apply(job, accept(job, name, lease_id))
    return apply(job, event_of(AttemptFailed, job, "transcode", lease_id="L2", error=BROKEN))[0]


def test_a_job_completes_without_a_step_that_is_optional_and_what_needs_it_is_left_out() -> None:
    job = half_done("transcode")
    assert job.status == "active" and step_of(job, "transcode").error == BROKEN
    job, effects = apply(job, event_of(AttemptCompleted, job, "thumbnails", lease_id="L3"))
    assert (job.status, job.error) == ("completed", None) and JobCompleted in kinds(effects)
    assert (step_of(job, "noop").status, step_of(job, "noop").reason) == ("skipped", "transcode-failed")
    assert step_of(job, "transcode").status == "failed"


def test_what_only_follows_a_failed_optional_step_runs() -> None:
    steps = (replace(PROBE, optional=True), LEFT)
    job, _ = submitted(steps)
    job, _ = apply(job, accept(job, "probe", "L1"))
    _, effects = apply(job, event_of(AttemptFailed, job, "probe", lease_id="L1", error=BROKEN))
    assert [e.step for e in effects if isinstance(e, StepRequested)] == ["transcode"]


def test_a_job_fails_by_the_step_that_it_cannot_do_without() -> None:
    job = half_done("transcode")
    job, _ = apply(
        job, event_of(AttemptFailed, job, "thumbnails", lease_id="L3", error=replace(BROKEN, code="no-usable-track"))
    )
    assert job.status == "failed" and job.error is not None and job.error.code == "no-usable-track"


def test_a_retry_tries_a_failed_optional_step_and_what_was_left_out_because_of_it_again() -> None:
    job = half_done("transcode", "noop")
    job, _ = apply(job, event_of(AttemptFailed, job, "thumbnails", lease_id="L3", error=BROKEN))
    assert job.status == "failed"
    job, effects = apply(job, RetryJob(job_id=job.id, asset_id=job.asset_id, run=1))
    assert {e.step for e in effects if isinstance(e, StepRequested)} == {"transcode", "thumbnails"}
    assert step_of(job, "noop").status == "waiting" and step_of(job, "noop").reason is None
    for name in ("transcode", "thumbnails", "noop"):
        job, _ = apply(job, accept(job, name, f"again-{name}"))
        job, _ = apply(job, event_of(AttemptCompleted, job, name, lease_id=f"again-{name}"))
    assert job.status == "completed"


def test_a_request_says_how_often_a_sleeping_endpoint_may_be_waited_for() -> None:
    asleep = ErrorRecord(code="endpoint-asleep", message="It is waking up.", retriable=True)
    job, effects = submitted()
    left = [e.asleep_left for e in effects if isinstance(e, StepRequested)]
    for wait in range(MAX_ASLEEP):
        job, _ = apply(job, accept(job, "probe", f"L{wait}"))
        job, _ = apply(job, event_of(AttemptFailed, job, "probe", lease_id=f"L{wait}", error=asleep))
        job, effects = apply(job, event_of(RetryDue, job, "probe"))
        left += [e.asleep_left for e in effects if isinstance(e, StepRequested)]
    assert left == [3, 2, 1, 0]
    assert step_of(job, "probe").failures == 0


def test_a_lost_request_is_requested_again_with_the_same_id() -> None:
    job, effects = submitted()
    first = next(e for e in effects if isinstance(e, StepRequested))
    again, effects = apply(job, event_of(DispatchDue, job, "probe", dispatches=1), now=9.0)
    second = next(e for e in effects if isinstance(e, StepRequested))
    assert event_id(first) == event_id(second)
    assert apply(again, event_of(DispatchDue, job, "probe", dispatches=1))[0] is again


def test_cancel_ends_waiting_steps_at_once_and_active_ones_through_a_revoke() -> None:
    job = active()
    job, effects = apply(job, CancelJob(job_id=job.id, asset_id=job.asset_id))
    assert job.status == "active" and job.cancelling and LeaseRevoked in kinds(effects)
    job, effects = apply(job, event_of(AttemptCancelled, job, "probe", lease_id="L1"))
    assert job.status == "cancelled" and JobCancelled in kinds(effects)


def test_a_silent_executor_of_a_cancelled_job_is_ended_by_its_lease() -> None:
    job = active()
    job, _ = apply(job, CancelJob(job_id=job.id, asset_id=job.asset_id))
    job, _ = apply(job, event_of(LeaseExpired, job, "probe", lease_id="L1"))
    assert job.status == "cancelled"


def test_a_retry_keeps_what_completed_and_happens_once_per_run() -> None:
    job = active()
    job, _ = apply(job, event_of(AttemptCompleted, job, "probe", lease_id="L1", outputs={"a": 1}))
    job, _ = apply(job, CancelJob(job_id=job.id, asset_id=job.asset_id))
    retry = RetryJob(job_id=job.id, asset_id=job.asset_id, run=1)
    job, effects = apply(job, retry)
    assert job.run == 2 and step_of(job, "probe").outputs == {"a": 1}
    assert {e.step for e in effects if isinstance(e, StepRequested)} == {"transcode", "thumbnails"}
    assert apply(job, retry)[0] is job


def ended() -> Job:
    """A job that was cancelled after its probe had published."""
    job = active()
    job, _ = apply(job, event_of(AttemptCompleted, job, "probe", lease_id="L1", outputs={"a": 1}))
    return apply(job, CancelJob(job_id=job.id, asset_id=job.asset_id))[0]


def delete(job: Job | DeletedJob, *, artifacts: bool = True) -> DeleteJob:
    return DeleteJob(job_id=job.id, asset_id=job.asset_id, artifacts=artifacts)


def test_a_job_that_runs_cannot_be_deleted() -> None:
    job = active()
    assert advance(job, delete(job), 5.0) == (job, [])


def test_a_deletion_says_so_and_orders_the_published_files_away() -> None:
    job = ended()
    deleted, effects = advance(job, delete(job), 5.0)
    assert isinstance(deleted, DeletedJob) and kinds(effects) == {JobDeleted, RemoveArtifacts}
    assert deleted.prefixes == ("assets/asset_1/probe/1-L1",)
    assert kinds(advance(job, delete(job, artifacts=False), 5.0)[1]) == {JobDeleted}


def test_a_deletion_that_is_said_again_says_the_same_with_the_same_ids() -> None:
    job = ended()
    deleted, effects = advance(job, delete(job), 5.0)
    assert isinstance(deleted, DeletedJob)
    again, repeated = advance(deleted, delete(deleted), 9.0)
    assert again is deleted and [event_id(e) for e in repeated] == [event_id(e) for e in effects]


def test_nothing_brings_a_deleted_job_back() -> None:
    job = ended()
    deleted, _ = advance(job, delete(job), 5.0)
    late = accept(job, "transcode", "L9")
    for event in (submit(), late, RetryJob(job_id=job.id, asset_id=job.asset_id, run=1)):
        assert advance(deleted, event, 9.0)[0] is deleted
    assert kinds(advance(deleted, late, 9.0)[1]) == {LeaseRevoked}, "an executor that works on it must stop"


def test_word_of_an_expired_lease_that_was_long_on_its_way_changes_nothing() -> None:
    """The broker was unavailable meanwhile, and no lease could be renewed."""
    job = active("L1")
    assert advance(job, event_of(LeaseExpired, job, "probe", lease_id="L1", decided_at=100.0), 160.0)[0] is job
    assert advance(job, event_of(LeaseExpired, job, "probe", lease_id="L1", decided_at=100.0), 100.1)[0] is not job

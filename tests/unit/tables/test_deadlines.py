"""What is due when: retries and leases."""

from schemas.base import ErrorRecord
from schemas.commands import SubmitJob
from schemas.jobs import Input, Job, StepSpec
from schemas.step_events import AttemptAccepted, AttemptFailed, AttemptHeartbeat, LeaseExpired, RetryDue
from streams.settings.log import LeaseTimes
from tables.deadlines import Deadlines
from tables.reducer import advance

LEASE = LeaseTimes(ttl_s=45.0, heartbeat_s=10.0)


def clock() -> Deadlines:
    return Deadlines(LEASE)


def submitted(number: int, now: float) -> Job:
    command = SubmitJob(
        job_id=f"job_{number}",
        asset_id="a",
        pipeline="p",
        steps=(StepSpec(name="probe"),),
        input=Input(object="k"),
        submitted_at=now,
    )
    job, _ = advance(None, command, now)
    assert isinstance(job, Job)
    return job


def acceptance(job: Job) -> AttemptAccepted:
    step = job.steps[0]
    return AttemptAccepted(
        job_id=job.id,
        asset_id="a",
        run=1,
        step="probe",
        attempt=step.attempt,
        lease_id="L1",
        executor_id="x",
        requested_at=step.requested_at or 0.0,
        request_partition=0,
    )


def active(now: float) -> Job:
    job = submitted(1, now)
    job, _ = advance(job, acceptance(job), now)  # type: ignore[assignment]  # a known job stays one
    return job


def due(watcher: Deadlines, job: Job, now: float) -> object:
    place = watcher.next_due(now)
    return watcher.event_for(job, place[1], now) if place is not None else None


def test_a_lease_that_nobody_renews_expires_after_its_ttl() -> None:
    watcher, job = clock(), active(100.0)
    watcher.watch(job)
    assert due(watcher, job, 144.9) is None
    expired = due(watcher, job, 145.0)
    assert isinstance(expired, LeaseExpired) and expired.lease_id == "L1"


def test_a_heartbeat_renews_the_lease_and_its_progress_is_kept() -> None:
    watcher, job = clock(), active(100.0)
    watcher.watch(job)
    beat = AttemptHeartbeat(
        job_id=job.id, asset_id="a", run=1, step="probe", attempt=1, lease_id="L1", executor_id="x", progress=0.4
    )
    watcher.renew(beat, 140.0)
    assert due(watcher, job, 150.0) is None
    expired = due(watcher, job, 185.0)
    assert isinstance(expired, LeaseExpired) and expired.progress == 0.4


def test_after_a_recovery_every_lease_has_one_ttl_of_grace() -> None:
    watcher, job = clock(), active(100.0)
    watcher.restart(1000.0)
    watcher.watch(job)
    assert due(watcher, job, 1044.9) is None
    assert isinstance(due(watcher, job, 1045.0), LeaseExpired)


def test_a_retry_is_due_at_its_time_and_said_again_when_it_did_not_come_through() -> None:
    watcher, job = clock(), active(100.0)
    busy = ErrorRecord(code="tool-failed", message="", retriable=True)
    failed = AttemptFailed(job_id=job.id, asset_id="a", run=1, step="probe", attempt=1, lease_id="L1", error=busy)
    job, _ = advance(job, failed, 100.0)  # type: ignore[assignment]  # a known job stays one
    watcher.watch(job)
    at = job.steps[0].due_at or 0.0
    assert due(watcher, job, at - 0.1) is None
    assert isinstance(due(watcher, job, at), RetryDue)
    assert due(watcher, job, at + 1) is None
    assert isinstance(due(watcher, job, at + 6), RetryDue)


def test_a_step_that_waits_for_an_executor_has_no_deadline() -> None:
    watcher, job = clock(), submitted(1, 100.0)
    watcher.watch(job)
    assert len(watcher) == 0 and due(watcher, job, 1e9) is None


def test_ended_jobs_leave_the_heap() -> None:
    watcher = clock()
    for number in range(5_000):
        job = submitted(number, 1.0)
        watcher.watch(job)
        ended, _ = advance(job, acceptance(job), 1.0)
        assert isinstance(ended, Job)
        broken = ErrorRecord(code="corrupt-media", message="")
        failed = AttemptFailed(job_id=job.id, asset_id="a", run=1, step="probe", attempt=1, lease_id="L1", error=broken)
        ended, _ = advance(ended, failed, 1.0)
        assert isinstance(ended, Job)
        watcher.watch(ended)
    assert len(watcher) == 0
    assert len(watcher._heap) < 2_500

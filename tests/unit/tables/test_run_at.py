"""A job that is to start later starts then: not before, once, and not when it was cancelled."""

from msgspec.structs import replace

from schemas.commands import CancelJob, RetryJob
from schemas.jobs import Job
from schemas.step_events import JobDue, RetryDue, StepRequested
from tables.deadlines import Deadlines
from tables.dispatch.rows import ready_step
from tables.reducer import advance
from tables.scheduling import is_scheduled
from tests.unit.tables.example_job import apply, event_of, submit
from tests.unit.tables.test_deadlines import LEASE

DUE = JobDue(job_id="job_1", asset_id="asset_1")


def scheduled(run_at: float = 100.0) -> Job:
    job, effects = advance(None, replace(submit(), run_at=run_at), 1.0)
    assert isinstance(job, Job) and not any(isinstance(effect, StepRequested) for effect in effects)
    return job


def test_it_waits_and_starts_when_its_time_has_come() -> None:
    job = scheduled()
    assert (job.status, job.run_at, is_scheduled(job)) == ("waiting", 100.0, True)
    started, effects = apply(job, DUE, 100.0)
    assert [effect.step for effect in effects if isinstance(effect, StepRequested)] == ["probe"]
    assert not is_scheduled(started)


def test_a_second_word_of_the_time_starts_nothing_again() -> None:
    started, _ = apply(scheduled(), DUE, 100.0)
    assert apply(started, DUE, 101.0) == (started, [])


def test_a_clock_that_was_ahead_starts_nothing_early() -> None:
    job = scheduled()
    assert apply(job, DUE, 99.0) == (job, [])


def test_other_events_start_nothing_either() -> None:
    job = scheduled()
    after, effects = apply(job, event_of(RetryDue, job, "probe"), 50.0)
    assert after is job and not any(isinstance(effect, StepRequested) for effect in effects)


def test_a_repeat_of_the_submission_changes_nothing() -> None:
    job = scheduled()
    again, effects = advance(job, replace(submit(), run_at=100.0), 2.0)
    assert again is job and not any(isinstance(effect, StepRequested) for effect in effects)


def test_one_whose_time_came_while_nobody_read_the_submission_starts_at_once() -> None:
    _, effects = advance(None, replace(submit(), run_at=100.0), 200.0)
    assert [effect.step for effect in effects if isinstance(effect, StepRequested)] == ["probe"]


def test_it_can_be_cancelled_and_a_retry_starts_at_once() -> None:
    cancelled, _ = apply(scheduled(), CancelJob(job_id="job_1", asset_id="asset_1"), 2.0)
    assert cancelled.status == "cancelled" and {step.status for step in cancelled.steps} == {"cancelled"}
    assert apply(cancelled, DUE, 100.0) == (cancelled, [])
    retried, _ = apply(cancelled, RetryJob(job_id="job_1", asset_id="asset_1", run=1), 3.0)
    assert retried.steps[0].requested_at == 3.0 and not is_scheduled(retried)


def test_it_is_due_at_its_time_also_after_a_restart_and_until_it_has_started() -> None:
    job, watcher = scheduled(), Deadlines(LEASE)
    watcher.restart(5.0)
    watcher.watch(job)
    assert watcher.next_due(99.9) is None
    key = watcher.next_due(100.0)
    assert key is not None and watcher.event_for(job, key[1], 100.0) == DUE
    assert watcher.next_due(101.0) is None
    key = watcher.next_due(106.0)
    assert key is not None and watcher.event_for(job, key[1], 106.0) == DUE, "the first one was lost"
    started, _ = apply(job, DUE, 107.0)
    watcher.watch(started)
    assert len(watcher) == 0 and watcher.next_due(1_000.0) is None


def test_a_clock_that_is_set_back_sends_nothing_and_forgets_nothing() -> None:
    job, watcher = scheduled(), Deadlines(LEASE)
    watcher.watch(job)
    key = watcher.next_due(100.0)
    assert key is not None and watcher.event_for(job, key[1], 90.0) is None
    assert watcher.next_due(100.0) == key


def test_it_does_not_overtake_jobs_that_came_before_its_time() -> None:
    started, _ = apply(scheduled(), DUE, 100.0)
    assert ready_step(started, started.steps[0], 200.0).since == 100.0

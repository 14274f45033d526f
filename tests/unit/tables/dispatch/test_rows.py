"""What the rows of jobs and queues say to a dispatcher, however often they are read."""

import pytest
from msgspec.structs import replace

from schemas.commands import CancelJob
from schemas.executors import HeldAttempt
from schemas.jobs import Job, Queue, StepSpec
from schemas.step_events import AttemptCompleted, AttemptFailed, RetryDue
from tables.dispatch.rows import is_open, observe_job, observe_queue
from tests.unit.tables.dispatch.lane import Lane, report
from tests.unit.tables.example_job import BUSY, accept, apply, event_of, submitted


def given(lane: Lane, *rows: Job) -> list[tuple[str, int]]:
    """Step and attempt of what is given after these rows were read."""
    for job in rows:
        observe_job(lane.dispatcher, job, lane.now)
    return [(give.step, give.attempt) for give in lane.give()]


def accepted_by(job: Job, step: str, session_id: str) -> Job:
    return apply(job, replace(accept(job, step, "L1"), session_id=session_id))[0]


def test_a_job_is_given_step_by_step_and_each_attempt_once() -> None:
    lane, job = Lane(report("a")), submitted()[0]
    assert given(lane, job, job) == [("probe", 1)]
    running = accepted_by(job, "probe", "a/1")
    assert given(lane, running, job, running) == []
    done = apply(running, event_of(AttemptCompleted, running, "probe", lease_id="L1"))[0]
    assert given(lane, done, done) == [("transcode", 1)]  # nobody offers `thumbnails` here


@pytest.mark.parametrize("holder", ["a", "b", "c"])
def test_the_next_step_goes_to_the_executor_that_has_the_source(holder: str) -> None:
    lane, job = Lane(report("a"), report("b"), report("c")), submitted()[0]
    given(lane, job)
    running = accepted_by(job, "probe", f"{holder}/1")
    observe_job(lane.dispatcher, running, lane.now)
    lane.report(report(holder, 2, cached=(job.asset_id,)))
    done = apply(running, event_of(AttemptCompleted, running, "probe", lease_id="L1"))[0]
    observe_job(lane.dispatcher, done, lane.now)
    assert [(give.step, give.session_id) for give in lane.give()] == [("transcode", f"{holder}/1")]


def test_a_failed_attempt_is_given_again_when_it_is_due() -> None:
    lane, job = Lane(report("a")), submitted()[0]
    given(lane, job)
    running = accepted_by(job, "probe", "a/1")
    delayed = apply(running, event_of(AttemptFailed, running, "probe", lease_id="L1", error=BUSY))[0]
    assert given(lane, running, delayed) == []
    due = apply(delayed, event_of(RetryDue, delayed, "probe"), 10.0)[0]
    assert given(lane, due, delayed) == [("probe", 2)]


def test_what_was_cancelled_is_not_given() -> None:
    lane, job = Lane(), submitted()[0]
    given(lane, job)
    cancelled = apply(job, CancelJob(job_id=job.id, asset_id=job.asset_id))[0]
    observe_job(lane.dispatcher, cancelled, lane.now)
    lane.report(report("a"))
    assert (lane.give(), is_open(cancelled), is_open(job)) == ([], False, True)


def test_what_a_living_session_has_accepted_occupies_it_for_the_next_dispatcher() -> None:
    running = accepted_by(submitted()[0], "probe", "a/1")
    other = replace(submitted()[0], id="job_2")
    occupied = report("a", slots={"probe": 1}, attempts=(HeldAttempt(job_id="job_1", run=1, step="probe", attempt=1),))
    lane = Lane(occupied)
    assert given(lane, running, other) == []


def test_accepted_attempts_are_lost_with_the_session_that_had_them() -> None:
    lane, job = Lane(report("a")), submitted()[0]
    running = accepted_by(job, "probe", "a/1")
    given(lane, job)
    observe_job(lane.dispatcher, running, lane.now)
    assert lane.report(report("a", start=2)) == [("job_1", 1, "probe", 1)]


def test_a_lease_of_an_unknown_session_occupies_nobody() -> None:
    lane = Lane(report("a", slots={"probe": 1}))
    before_the_dispatcher = accepted_by(submitted()[0], "probe", "")
    other = replace(submitted()[0], id="job_2")
    assert given(lane, before_the_dispatcher, other) == [("probe", 1)]


def test_a_limited_queue_gives_so_many_at_a_time() -> None:
    lane, queue = Lane(report("a")), Queue(step="probe", paused=False, changed_at=1.0, max_active=1)
    observe_queue(lane.dispatcher, queue)
    assert given(lane, submitted()[0], replace(submitted()[0], id="job_2")) == [("probe", 1)]
    observe_queue(lane.dispatcher, replace(queue, max_active=None))
    assert [give.job_id for give in lane.give()] == ["job_2"]


def test_a_paused_queue_gives_nothing_until_it_is_resumed() -> None:
    lane, paused = Lane(report("a")), Queue(step="probe", paused=True, changed_at=1.0)
    observe_queue(lane.dispatcher, paused)
    assert given(lane, submitted()[0]) == []
    observe_queue(lane.dispatcher, replace(paused, paused=False))
    assert [give.step for give in lane.give()] == ["probe"]


def test_instant_jobs_of_one_record_stay_together() -> None:
    """Mixed by age, each record of a backlog in eight partitions became eight small ones: half the jobs a second."""
    lane = Lane(report("a", slots={"noop": 2}))
    first, second = [[instant(n) for n in numbers] for numbers in ((1, 3, 5, 7), (2, 4, 6, 8))]
    for job in first + second:
        lane.now += 0.001
        observe_job(lane.dispatcher, job, lane.now)
    groups = []
    while gives := lane.give():
        lane.end(*gives)
        groups.append([int(give.job_id) for give in gives])
    assert groups == [[1, 3], [5, 7], [2, 4], [6, 8]]


def instant(number: int) -> Job:
    job = submitted((StepSpec(name="noop"),))[0]
    return replace(job, id=str(number), created_at=float(number))

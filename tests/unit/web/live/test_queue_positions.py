"""A job's position in the queue of a step is true."""

from schemas.jobs import Job
from tests.unit.web.rows import a_job, a_step
from web.live.queue_positions import Queues


def queued(number: int, at: float, priority: str = "normal") -> Job:
    step = a_step("noop", "waiting", attempt=1, requested_at=at)
    return a_job(number, "waiting", (step,), priority=priority)


def positions(queues: Queues, *numbers: int) -> list[int | None]:
    return [queues.position(f"job_{number:06}", "noop") for number in numbers]


def test_jobs_queue_in_order_of_their_requests_and_move_up() -> None:
    queues = Queues()
    for number, at in ((1, 5.0), (2, 1.0), (3, 9.0)):
        queues.update(queued(number, at))
    assert positions(queues, 2, 1, 3) == [1, 2, 3]
    queues.update(a_job(2, "active", (a_step("noop", "active"),)))
    queues.update(queued(1, 20.0))  # requested again
    assert positions(queues, 2, 3, 1) == [None, 1, 2]
    queues.forget("job_000003")
    assert positions(queues, 1) == [1]


def test_a_higher_priority_goes_first() -> None:
    queues = Queues()
    queues.update(queued(1, 1.0))
    queues.update(queued(2, 2.0, priority="high"))
    assert [job.job_id for job in queues.first("noop", 10)] == ["job_000002", "job_000001"]


def test_a_queue_is_reported_as_changed_once() -> None:
    queues = Queues()
    queues.update(queued(1, 1.0))
    assert (queues.take_changed(), queues.take_changed()) == ({"noop"}, set())
    queues.update(queued(1, 1.0))
    assert queues.take_changed() == set()


def test_an_ended_job_waits_nowhere() -> None:
    queues = Queues()
    queues.update(queued(1, 1.0))
    queues.update(a_job(1, "cancelled", queued(1, 1.0).steps))
    assert (positions(queues, 1), queues.steps()) == ([None], set())

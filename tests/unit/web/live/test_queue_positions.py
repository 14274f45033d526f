"""What people see of a queue is what the dispatcher reports of it."""

from msgspec.structs import replace

from schemas.jobs import Job, Step
from schemas.queues import QueuedAttempt, QueueReported
from tests.unit.web.queue_order import report_of
from tests.unit.web.rows import a_job, a_step
from web.live.queue_positions import STALE_S, Queues


def queued(number: int) -> Job:
    return a_job(number, "waiting", (a_step("noop", "waiting", attempt=1, requested_at=1.0),))


def reported(*job_numbers: int, number: int = 1, **more: object) -> QueueReported:
    return replace(report_of("noop", [f"job_{n:06}" for n in job_numbers], number), **more)


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def positions(queues: Queues, *numbers: int) -> list[int | None]:
    return [queues.position(f"job_{number:06}", "noop") for number in numbers]


def test_the_order_is_the_dispatchers_and_jobs_move_up() -> None:
    queues = Queues()
    queues.report(reported(2, 1, 3))
    assert positions(queues, 2, 1, 3) == [1, 2, 3]
    queues.report(reported(3, 1))
    assert positions(queues, 2, 3, 1) == [None, 1, 2]
    queues.report(reported())
    assert positions(queues, 3, 1) == [None, None]


def test_only_jobs_that_wait_by_their_rows_are_listed() -> None:
    queues = Queues()
    for n in (1, 2, 3):
        queues.update(queued(n))
    queues.report(reported(2, 4, 1, 3))
    queues.update(a_job(1, "cancelled", queued(1).steps))
    queues.forget("job_000003")
    assert [(job.job_id, attempt.position) for job, attempt in queues.first("noop")] == [("job_000002", 1)]


def test_a_report_of_a_dispatcher_that_was_replaced_does_not_count() -> None:
    queues = Queues()
    queues.report(reported(1, 2, number=8))
    queues.report(reported(2, 1, number=7))
    assert positions(queues, 1, 2) == [1, 2]
    queues.report(replace(reported(number=9), step="probe"))
    assert positions(queues, 1, 2) == [None, None], "the next dispatcher starts with nothing"


def test_a_reason_that_the_next_dispatcher_does_not_repeat_is_taken_back() -> None:
    queues = Queues()
    queues.report(reported(1, reason="no_executor"))
    assert queues.take_switched() == {"noop"}
    queues.report(reported(1, number=2))
    assert queues.take_switched() == {"noop"} and queues.reason("noop") == ""


def test_positions_are_not_shown_for_ever_when_nobody_reports_any_more() -> None:
    clock = Clock()
    queues = Queues(clock)
    queues.report(reported(1, reason="no_executor"))
    clock.now += STALE_S
    assert positions(queues, 1) == [None] and queues.reason("noop") == "" and queues.unserved() == []


def test_estimates_count_down_between_reports() -> None:
    clock = Clock()
    queues = Queues(clock)
    queues.report(reported(first=(QueuedAttempt("job_000001", 1, 4.0), QueuedAttempt("job_000002", 2))))
    clock.now += 3.0
    assert queues.wait_s("job_000001", "noop") == 1.0
    assert queues.wait_s("job_000002", "noop") is None, "nobody knows"
    clock.now += 3.0
    assert queues.wait_s("job_000001", "noop") == 0.0


def test_a_queue_is_reported_as_changed_once() -> None:
    queues = Queues()
    queues.report(reported(1))
    assert (queues.take_changed(), queues.take_changed()) == ({"noop"}, set())
    queues.report(reported(1))
    assert queues.take_changed() == set()


def test_the_reason_why_a_step_waits() -> None:
    queues, step = Queues(), Step(spec=queued(1).steps[0].spec)
    queues.report(reported(first=(QueuedAttempt("job_000001", 1, None, True),)))
    assert (queues.waiting_reason("job_000001", "noop"), queues.waiting_reason("job_000009", "noop")) == (
        "owner_cap",
        "queued",
    )
    queues.report(reported(1, reason="no_executor"))
    assert queues.waiting_reason("job_000009", "noop") == "no_executor"
    assert queues.is_held(step) and queues.unserved() == ["noop"] and queues.take_switched() == {"noop"}
    queues.pause("noop", paused=True)
    assert queues.waiting_reason("job_000001", "noop") == "paused" and queues.is_held(step)


def test_a_queue_is_not_paused_any_more_once_its_row_says_so() -> None:
    queues = Queues()
    queues.pause("noop", paused=True)
    queues.report(reported(1, reason="paused"))
    queues.pause("noop", paused=False)
    assert queues.reason("noop") == ""

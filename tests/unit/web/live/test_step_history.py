"""The history of steps: what a chart of the last hour shows."""

import pytest

from tests.unit.web.rows import NOW, a_job, a_step
from web.live.step_history import MINUTES, StepHistory, percentile


def ended(history: StepHistory, at: float, took_s: float, status: str = "completed", number: int = 1) -> None:
    """A step ends, and later rows of the job still have it."""
    step = a_step("transcode", status, started_at=at - took_s, finished_at=at)
    history.learn(a_job(number, "active", (step, a_step("embed", "active")), updated_at=at))
    history.learn(a_job(number, "completed", (step,), updated_at=at + 5))


def test_each_end_is_counted_once_in_its_minute() -> None:
    history = StepHistory()
    ended(history, NOW, 4.0)
    ended(history, NOW + 1, 6.0)
    ended(history, NOW + 120, 1.0, "failed")
    minutes = history.of("transcode", NOW + 120)
    assert len(minutes) == MINUTES
    assert [(minute.completed, minute.failed) for minute in minutes[-3:]] == [(2, 0), (0, 0), (0, 1)]
    assert minutes[-3].took_s == [4.0, 6.0]
    assert history.steps() == ["transcode"]


def test_a_step_that_was_skipped_or_cancelled_is_not_counted() -> None:
    history = StepHistory()
    for status in ("skipped", "cancelled"):
        ended(history, NOW, 1.0, status)
    assert not any(minute.completed or minute.failed for minute in history.of("transcode", NOW))


def test_a_day_of_many_jobs_takes_no_more_memory_than_an_hour_of_some() -> None:
    history = StepHistory()
    for minute in range(24 * 60):
        for number in range(300 if minute % 240 == 0 else 1):
            ended(history, NOW + minute * 60, 1.0, number=number)
    assert len(history._minutes["transcode"]) <= MINUTES
    assert all(len(minute.took_s) <= 100 for minute in history._minutes["transcode"].values())


@pytest.mark.parametrize("values, half", [([], None), ([3.0], 3.0), ([1.0, 2.0, 9.0], 2.0)])
def test_percentiles_of_few_values(values: list[float], half: float | None) -> None:
    assert percentile(values, 0.5) == half

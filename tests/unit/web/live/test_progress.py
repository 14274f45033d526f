"""Progress of running steps: forward only, from the owner only, in bounded memory."""

from typing import Any

from schemas.step_events import StepProgressed
from tests.unit.web.rows import a_job, a_step
from web.live.progress import Progress

ACTIVE = a_job(1, "active", (a_step("probe", "completed"), a_step("transcode", "active", weight=3)))


def said(progress: float, job_id: str = "job_000001", **more: Any) -> StepProgressed:
    fields: dict[str, Any] = {
        "job_id": job_id,
        "asset_id": "asset_000001",
        "run": 1,
        "step": "transcode",
        "attempt": 1,
        "lease_id": "lease-transcode",
        "progress": progress,
    }
    return StepProgressed(**fields | more)


def test_a_running_step_moves_and_its_job_with_it() -> None:
    progress = Progress()
    progress.update(ACTIVE)
    moved = progress.fold(said(0.5, eta_s=7.0))  # an executor's guess is no history
    assert moved is not None
    assert (moved.step, moved.step_progress, moved.job_progress, moved.eta_s) == ("transcode", 0.5, 0.625, None)


def test_progress_never_falls_within_a_run() -> None:
    progress = Progress()
    progress.update(ACTIVE)
    progress.fold(said(0.5))
    assert progress.fold(said(0.4)) is None
    assert progress.live("job_000001", 1) == {"transcode": 0.5}


def test_an_executor_that_lost_its_lease_moves_nothing() -> None:
    progress = Progress()
    progress.update(ACTIVE)
    assert progress.fold(said(0.9, lease_id="lease-of-a-zombie")) is None
    assert progress.live("job_000001", 1) == {}


def test_progress_that_comes_before_its_row_is_kept_for_it() -> None:
    progress = Progress()
    assert progress.fold(said(0.3)) is None
    progress.update(ACTIVE)
    assert progress.live("job_000001", 1) == {"transcode": 0.3}


def test_progress_of_a_new_run_starts_at_zero() -> None:
    progress = Progress()
    progress.update(ACTIVE)
    progress.fold(said(0.8))
    assert progress.live("job_000001", 2) == {}
    progress.update(a_job(1, "active", (a_step("transcode", "active"),), run=2))
    moved = progress.fold(said(0.1, run=2))
    assert moved is not None and moved.step_progress == 0.1
    assert progress.fold(said(0.9, run=1)) is None


def test_a_failed_job_still_shows_how_far_it_came_and_a_completed_one_needs_nothing() -> None:
    progress = Progress()
    for number, end in ((1, "failed"), (2, "completed")):
        progress.update(a_job(number, "active", (a_step("transcode", "active"),)))
        progress.fold(said(0.7, job_id=f"job_{number:06}"))
        progress.update(a_job(number, end))
    assert progress.live("job_000001", 1) == {"transcode": 0.7}
    assert progress.live("job_000002", 1) == {}


def test_the_number_of_jobs_is_bounded_and_running_jobs_are_kept() -> None:
    progress = Progress(max_jobs=10)
    progress.update(ACTIVE)
    progress.fold(said(0.2))
    for number in range(100, 200):
        progress.fold(said(0.5, job_id=f"job_{number:06}"))
    assert sum(bool(progress.live(f"job_{n:06}", 1)) for n in range(200)) == 10
    assert progress.fold(said(0.6)) is not None

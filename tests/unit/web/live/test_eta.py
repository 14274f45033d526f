"""Times left are estimated from past runs of the same step."""

from typing import Any

from schemas.jobs import Job
from tests.unit.web.queue_order import report_of
from tests.unit.web.rows import NOW, a_job, a_step
from web.live.eta import EtaEstimator
from web.live.progress import Progress
from web.views.build import job_view


def media(number: int, width: int, seconds: float, transcode: Any = "waiting", **more: Any) -> Job:
    outputs = {"duration_s": seconds, "video": {"width_px": width, "height_px": 100}}
    probe = a_step("probe", "completed", attempt=1, started_at=NOW, finished_at=NOW + 2, outputs=outputs)
    return a_job(number, "active", (probe, a_step("transcode", transcode, **more)))


def done(number: int, width: int, seconds: float, took_s: float) -> Job:
    return media(number, width, seconds, "completed", attempt=1, started_at=NOW, finished_at=NOW + took_s)


def test_there_is_no_estimate_without_history() -> None:
    estimator = EtaEstimator()
    job = media(1, 100, 10.0)
    assert estimator.remaining_s(job, job.steps[1], 0.0) is None
    estimator.learn(done(2, 100, 10.0, took_s=20.0))
    assert estimator.remaining_s(job, job.steps[1], 0.25) == 15.0


def test_more_pixels_and_more_time_take_longer_in_proportion() -> None:
    estimator = EtaEstimator()
    for number, took_s in enumerate((18.0, 20.0, 90.0)):  # one was slow: the middle counts
        estimator.learn(done(number, 100, 10.0, took_s))
    larger = media(9, 400, 30.0)
    assert estimator.remaining_s(larger, larger.steps[1], 0.0) == 20.0 * 4 * 3


def test_audio_steps_take_as_long_as_the_sound_whatever_the_picture() -> None:
    def heard(number: int, video: Any, seconds: float, **more: Any) -> Job:
        probe = a_step("probe", "completed", outputs={"duration_s": seconds, "video": video})
        return a_job(number, "active", (probe, a_step("transcribe", **more), a_step("transcode", **more)))

    estimator, picture = EtaEstimator(), {"width_px": 1280, "height_px": 720}
    estimator.learn(
        heard(1, picture, 10.0, status="completed", attempt=1, started_at=NOW, finished_at=NOW + 16.0),
    )
    sound = heard(2, None, 30.0)
    assert estimator.remaining_s(sound, sound.steps[1], 0.0) == 48.0
    assert estimator.remaining_s(sound, sound.steps[2], 0.0) == 3.0  # packaging sound is little work, and not none


def test_the_same_attempt_is_counted_once_and_retries_not_at_all() -> None:
    estimator = EtaEstimator()
    for _ in range(5):
        estimator.learn(done(1, 100, 10.0, took_s=1000.0))
    for number in (2, 3):
        estimator.learn(done(number, 100, 10.0, took_s=20.0))
    again = media(4, 100, 10.0, "completed", attempt=3, started_at=NOW, finished_at=NOW + 5000)
    estimator.learn(again)
    job = media(9, 100, 10.0)
    assert estimator.remaining_s(job, job.steps[1], 0.0) == 20.0


def test_a_jobs_time_is_that_of_all_steps_to_come_or_none() -> None:
    progress = Progress()
    job = media(1, 100, 10.0)
    assert job_view(job, progress.overlay(job)).eta_s is None
    progress.update(done(2, 100, 10.0, took_s=20.0))
    shown = job_view(job, progress.overlay(job))
    assert (shown.eta_s, shown.steps[1].eta_s) == (20.0, 20.0)
    ended = job_view(a_job(3, "failed", done(2, 100, 10.0, took_s=20.0).steps))
    assert ended.eta_s is None


def queued(number: int, at: float) -> Job:
    return a_job(number, "waiting", (a_step("noop", "waiting", attempt=1, requested_at=at),))


def test_the_view_shows_position_and_parts() -> None:
    from tests.unit.web.live.test_hub import progressed

    progress = Progress()
    waiting = queued(1, 5.0)
    progress.update(waiting)
    progress.queues.report(report_of("noop", [waiting.id]))
    assert job_view(waiting, progress.overlay(waiting)).steps[0].queue_position == 1
    running = media(2, 100, 10.0, "active")
    progress.update(running)
    from msgspec.structs import replace

    progress.fold(replace(progressed(2, 0.5), parts={"720p": 0.5}))
    assert job_view(running, progress.overlay(running)).steps[1].parts == {"720p": 50.0}

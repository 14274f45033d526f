"""Kept views are those that would be rendered now, and no more of them than fit."""

import msgspec
import pytest

from schemas.jobs import Job, JobStatus
from tests.unit.web.rows import a_job, a_step
from web.views.build import LiveOverlay, job_view
from web.views.encoded import EncodedViews
from web.views.models import JobView


class Renderer:
    """Renders jobs, and remembers which."""

    def __init__(self) -> None:
        self.rendered: list[str] = []
        self.overlay = LiveOverlay()

    def view(self, job: Job) -> JobView:
        self.rendered.append(job.id)
        return job_view(job, self.overlay)

    def shown(self, job: Job) -> bytes:
        return msgspec.json.encode(job_view(job, self.overlay))


def row(job: Job) -> bytes:
    return msgspec.json.encode(job)


def completed(number: int) -> Job:
    return a_job(number, "completed", (a_step("probe", "completed"), a_step("captions", "skipped", reason="silent")))


def test_the_view_of_a_completed_job_is_rendered_once() -> None:
    views, renderer = EncodedViews(), Renderer()
    for _ in range(3):
        for job in (completed(1), completed(2)):
            assert msgspec.json.encode(views.of(row(job), renderer.view)) == renderer.shown(job)
    assert len(renderer.rendered) == 2


@pytest.mark.parametrize("status", ["active", "failed", "cancelled"])
def test_a_view_that_live_progress_changes_is_rendered_each_time(status: JobStatus) -> None:
    views, renderer = EncodedViews(), Renderer()
    job = a_job(1, status, (a_step("probe", "completed"), a_step("transcode", "failed", progress=0.2)))
    views.of(row(job), renderer.view)
    renderer.overlay = LiveOverlay({"transcode": 0.7})
    assert bytes(views.of(row(job), renderer.view)) == renderer.shown(job)


def test_a_completed_job_with_a_step_that_failed_shows_its_live_progress() -> None:
    views, renderer = EncodedViews(), Renderer()
    job = a_job(1, "completed", (a_step("probe", "completed"), a_step("captions", "failed", progress=0.2)))
    views.of(row(job), renderer.view)
    renderer.overlay = LiveOverlay({"captions": 0.7})
    assert bytes(views.of(row(job), renderer.view)) == renderer.shown(job)


def test_another_row_of_the_same_job_is_another_view() -> None:
    views, renderer = EncodedViews(), Renderer()
    before = completed(1)
    after = msgspec.structs.replace(before, passthrough="order 7")
    for job in (before, after):
        assert bytes(views.of(row(job), renderer.view)) == renderer.shown(job)


def test_those_read_least_recently_make_room() -> None:
    renderer = Renderer()
    size = len(renderer.shown(completed(1))) + 200
    views = EncodedViews(most_bytes=20 * size)
    for number in range(100):
        views.of(row(completed(number)), renderer.view)
        views.of(row(completed(0)), renderer.view)  # read again and again
    assert renderer.rendered.count(completed(0).id) == 1
    renderer.rendered.clear()
    for number in reversed(range(100)):  # the newest are still kept
        views.of(row(completed(number)), renderer.view)
    assert 75 <= len(renderer.rendered) <= 92

"""The CSV of jobs says what their views say."""

from msgspec import UNSET
from msgspec.structs import replace

from schemas.jobs import Job
from tests.unit.web.readmodel.crowd import crowd
from web.api.jobs.export import CSV_COLUMNS, csv_cells
from web.readmodel.job_progress import Live
from web.views.build import LiveOverlay, job_view

_OWN = ("duration_s", "error_code", "error_message", "warnings")


def _viewed(job: Job, live: Live) -> dict[str, str]:
    view = job_view(job, LiveOverlay(live))
    values = {name: getattr(view, name) for name in CSV_COLUMNS if name not in _OWN}
    return {name: "" if value is None or value is UNSET else str(value) for name, value in values.items()}


def test_cells_are_those_of_the_view() -> None:
    rows, latest = crowd(200, 7, 1_700_000_000.0)
    jobs = [*rows, *latest.values()]
    assert {job.status for job in jobs} >= {"waiting", "active", "completed", "failed"}
    for job in jobs:
        live = {step.spec.name: 0.5 for step in job.steps if step.status == "active"}
        cells = dict(zip(CSV_COLUMNS, csv_cells(job, live), strict=True))
        assert {name: text for name, text in cells.items() if name not in _OWN} == _viewed(job, live)
        assert cells["error_code"] == (job.error.code if job.error else "")


def test_names_are_no_formulas() -> None:
    _, latest = crowd(1, 7, 1_700_000_000.0)
    (job,) = latest.values()
    cells = dict(zip(CSV_COLUMNS, csv_cells(replace(job, filename="=1+1", passthrough="\tx"), {}), strict=True))
    assert (cells["filename"], cells["passthrough"]) == ("'=1+1", "'\tx")

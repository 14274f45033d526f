"""Texts of jobs: the list, one job, its timeline."""

from datetime import UTC, datetime
from typing import Any

from streams.cli.job_rendering import details, event_lines, table
from streams.cli.rendering import outcome
from tests.unit.streams.cli.test_views import job, step

NOW = datetime(2026, 1, 1, 3, 5, tzinfo=UTC)
ERROR = {"code": "corrupt-media", "message": "The file is truncated."}


def test_the_outcome_is_one_sentence() -> None:
    times = {"started_at": "2026-01-01T00:00:00.000Z", "finished_at": "2026-01-01T00:00:12.340Z"}
    assert outcome(job(status="completed", **times)) == "job_1 completed in 12.3 s"


def test_the_list_has_name_status_age_step_and_code() -> None:
    failed = job(status="failed", current_step=None, error=ERROR, id="job_2", filename="b.mp4")
    heads, *lines = table([job(filename="a talk.mp4"), failed], now=NOW)
    assert heads.split() == ["ID", "NAME", "STATUS", "AGE", "STEP", "CODE"]
    assert [line.split() for line in lines] == [
        ["job_1", "a", "talk.mp4", "active", "3h", "transcode"],
        ["job_2", "b.mp4", "failed", "3h", "corrupt-media"],
    ]


def test_the_list_fits_the_terminal_with_ids_in_full() -> None:
    long = job(id=f"job_{'0' * 24}", filename=f"{'long ' * 40}.mp4", error=ERROR)
    _, line = table([long], width=80, now=NOW)
    assert len(line) <= 80 and long["id"] in line and "corrupt-media" in line


def test_the_wide_list_leaves_nothing_out() -> None:
    wide = job(filename="x" * 300, owner="anna", priority="high", error=ERROR, run=2)
    heads, line = table([wide], wide=True, width=80, now=NOW)
    for text in ("x" * 300, "40 %", "standard", "anna", "high", "2", "asset_1", ERROR["message"]):
        assert text in line
    assert heads.split()[-3:] == ["ASSET", "CREATED", "MESSAGE"]


def test_a_job_without_a_file_name_is_called_after_its_input() -> None:
    remote = job(input={"url": "https://example.org/media/a%20talk.mp4?x=1"})
    assert "a talk.mp4" in table([remote])[1]
    assert table([job()])[1].split()[1] == "-"


def test_a_paused_job_is_listed_with_the_step_that_is_held_up_whatever_else_runs() -> None:
    running = job(step("thumbnails", "active"), step("transcode", paused=True), current_step="thumbnails")
    assert table([running])[1].endswith("thumbnails, transcode (queue paused)")


def test_one_job_shows_input_owner_priority_steps_and_outputs() -> None:
    outputs: dict[str, Any] = {"poster": "assets/asset_1/thumbnails/1-x/poster.jpg", "sprites": ["a", "b"]}
    shown = job(
        step("thumbnails", "completed", outputs=outputs),
        step("transcode"),
        input={"object": "uploads/asset_1/source"},
        owner="anna",
        priority="low",
    )
    lines = [" ".join(line.split()) for line in details(shown, "http://k")]
    assert lines[0].startswith("job_1 active")
    for line in (
        "input uploads/asset_1/source (object)",
        "owner anna",
        "priority low",
        "page http://k/?q=job_1",
        "thumbnails 100 % completed",
        "transcode 0 % waiting",
        "thumbnails poster assets/asset_1/thumbnails/1-x/poster.jpg",
        "thumbnails sprites 2 entries",
    ):
        assert line in lines


def test_a_completed_job_lists_what_is_missing_and_where_it_is_damaged() -> None:
    warnings = [
        {"step": "captions", "code": "model-failed", "message": "The model failed."},
        {"step": "transcode", "code": "media-damaged", "message": "A part is damaged.", "start_ms": 62_000},
    ]
    lines = [" ".join(line.split()) for line in details(job(status="completed", warnings=warnings), "http://k")]
    assert lines[0] == "job_1 completed with 2 warnings"
    at = lines.index("Warnings")
    assert lines[at + 1 : at + 3] == [
        "captions The model failed. (model-failed)",
        "transcode A part is damaged. (media-damaged), 0:01:02 to 0:01:02",
    ]
    assert "Warnings" not in details(job(status="completed", warnings=[]), "http://k")


def test_a_timeline_is_a_line_per_event_with_what_matters() -> None:
    events = [
        {"type": "media.job.submitted.v1", "time": "T1", "run": 1},
        {"type": "media.step.failed.v1", "time": "T2", "run": 1, "step": "probe", "attempt": 2, "elapsed_s": 1.25}
        | {"error": ERROR},
    ]
    submitted, failed = event_lines(events)
    assert submitted == "T1  job.submitted"
    assert " ".join(failed.split()) == "T2 step.failed probe attempt 2, 1.2 s, The file is truncated. (corrupt-media)"

"""Live views of a job: for terminals, pipes and machines."""

import json
from itertools import pairwise
from typing import Any

import pytest

from streams.cli import views
from streams.cli.job_rendering import details, table
from streams.cli.views import changes, view
from streams.client import folded


def step(name: str, status: str = "waiting", progress: float = 0.0, **more: Any) -> dict[str, Any]:
    return {"name": name, "status": status, "progress": progress, "attempt": 1, "attempts": 3, **more}


def job(*steps: dict[str, Any], status: str = "active", **more: Any) -> dict[str, Any]:
    return {
        "id": "job_1",
        "asset_id": "asset_1",
        "pipeline": "standard",
        "status": status,
        "progress": 40.0,
        "current_step": "transcode",
        "created_at": "2026-01-01T00:00:00.000Z",
        "steps": list(steps),
        **more,
    }


def test_a_line_per_step_that_moved() -> None:
    before = job(step("probe", "active"), step("transcode"))
    after = job(step("probe", "completed"), step("transcode", "active", 3.0))
    assert changes(before, after) == ["probe        100 %  completed", "transcode      3 %  active"]


def test_small_progress_does_not_flood_a_log() -> None:
    states = [job(step("transcode", "active", percent)) for percent in range(100)]
    lines = [line for before, after in pairwise(states) for line in changes(before, after)]
    assert len(lines) == 9


def test_steps_that_have_not_begun_are_not_news() -> None:
    assert changes(None, job(step("probe"), step("transcode"))) == []


def test_a_failed_step_says_why_and_which_try_it_was() -> None:
    error = {"code": "corrupt-media", "message": "The file is cut short."}
    (line,) = changes(None, job(step("probe", "failed", attempt=2, error=error)))
    assert line.endswith("failed, attempt 2 of 3, The file is cut short. (corrupt-media)")


def test_a_machine_gets_one_json_object_a_change(capsys: pytest.CaptureFixture[str]) -> None:
    with view(as_json=True) as shown:
        shown.show(job(step("probe", "active")))
        shown.show(job(step("probe", "completed"), status="completed"))
    assert [json.loads(line)["status"] for line in capsys.readouterr().out.splitlines()] == ["active", "completed"]


def test_a_pipe_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with view(as_json=False, terminal=False) as shown:
        shown.show(job(step("probe", "active")))
        shown.show(job(step("probe", "skipped", reason="no-audio-track")))
    assert capsys.readouterr().out.splitlines() == [
        "probe          0 %  active",
        "probe        100 %  skipped, no-audio-track",
    ]


def test_a_terminal_gets_a_bar_per_step(capsys: pytest.CaptureFixture[str]) -> None:
    with view(as_json=False, terminal=True) as shown:
        shown.show(job(step("probe", "completed"), step("transcode", "active", 40.0, eta_s=9.4)))
    shown_text = capsys.readouterr().out
    assert "probe" in shown_text and "40 %" in shown_text and "9 s left" in shown_text


def test_markup_in_an_error_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    error = {"code": "x", "message": "bad tag [/red] here"}
    with view(as_json=False, terminal=True) as shown:
        shown.show(job(step("probe", "failed", error=error)))
    assert "[/red]" in capsys.readouterr().out


def test_progress_is_whole_for_what_was_passed() -> None:
    assert [views.percent(step("a", status, 7.0)) for status in ("active", "skipped", "completed")] == [7, 100, 100]


def test_a_step_that_waits_says_where_it_stands_in_line() -> None:
    waiting = job(step("transcode", queue_position=4), step("probe", "active", queue_position=4))
    moved = folded(waiting, {"type": "queue", "step": "transcode", "positions": {"job_1": 3, "job_2": 2}})
    assert [views.remark(one) for one in moved["steps"]] == ["waiting, position 3 in the queue", "active"]
    assert folded(waiting, {"type": "queue", "step": "transcode", "positions": {"job_2": 2}}) == waiting
    assert folded(waiting, {"type": "queue", "step": "probe", "positions": {"job_1": 2}}) == waiting


def test_a_paused_queue_is_told_of_the_job_that_waits_in_it_and_takes_its_eta() -> None:
    waiting = job(step("transcode", queue_position=4, eta_s=9.0), step("embed", eta_s=2.0), eta_s=11.0)
    pause = {"type": "queue", "step": "transcode", "paused": True, "positions": {}}
    paused = folded(waiting, pause)
    assert paused["steps"][0] == step("transcode", queue_position=4, paused=True) and paused["eta_s"] is None
    assert paused["steps"][1] == waiting["steps"][1]
    assert folded(paused, pause) == paused
    resumed = folded(paused, pause | {"paused": False, "positions": {"job_1": 3}})
    assert resumed["steps"][0] == step("transcode", queue_position=3)
    later = folded(waiting, pause | {"step": "embed"})
    assert later["steps"][1] == step("embed"), "it has no place in the queue yet, and nobody knows when it will start"
    running = job(step("transcode", "active", eta_s=9.0), eta_s=9.0)
    assert folded(running, pause) == running


def test_a_step_in_a_paused_queue_says_so_wherever_the_job_is_shown() -> None:
    waiting = job(step("probe", "completed"), step("transcode", queue_position=4), status="waiting")
    paused = job(step("probe", "completed"), step("transcode", queue_position=4, paused=True), status="waiting")
    line = "transcode      0 %  waiting, queue paused, position 4 in the queue"
    assert changes(waiting, paused) == [line]
    assert changes(None, paused)[-1] == line and details(paused, "http://k")[-1].strip() == line
    assert changes(paused, waiting) == ["transcode      0 %  waiting, position 4 in the queue"]
    _, row = table([paused])
    assert row.endswith("transcode (queue paused)")


def test_an_upload_on_a_terminal_shows_its_file_and_elsewhere_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with views.upload_bar("talk [1].mp4", 100) as on_sent:
        on_sent(50)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with views.upload_bar("talk [1].mp4", 100) as on_sent:
        on_sent(100)
    assert "Uploading talk [1].mp4" in capsys.readouterr().err

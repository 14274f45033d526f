"""Views of jobs and assets."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from schemas.jobs import MissingStep
from tests.unit.web.rows import NOW, a_job, a_step, an_asset, an_error, as_json
from web.views.build import LiveOverlay, asset_view, attempts_allowed, current_step, job_view, percent


def test_a_fresh_job_shows_every_field_that_clients_rely_on() -> None:
    shown = as_json(job_view(a_job(1)))
    assert set(shown) == {
        "id",
        "asset_id",
        "input",
        "pipeline",
        "status",
        "progress",
        "current_step",
        "run",
        "created_at",
        "updated_at",
        "started_at",
        "finished_at",
        "eta_s",
        "warnings",
        "steps",
    }
    assert set(shown["steps"][0]) == {"name", "status", "progress", "attempt", "attempts", "started_at", "finished_at"}


def test_times_are_utc_with_milliseconds() -> None:
    assert as_json(job_view(a_job(0, created_at=1_780_000_000.5)))["created_at"] == "2026-05-28T20:26:40.500Z"


def test_progress_is_the_weighted_sum_of_the_steps() -> None:
    steps = (
        a_step("probe", "completed", weight=2),
        a_step("transcode", "active", weight=85),
        a_step("thumbnails", "skipped", weight=13, reason="no-video-track"),
    )
    shown = as_json(job_view(a_job(1, "active", steps), LiveOverlay({"transcode": 0.5})))
    assert shown["progress"] == 57.5
    assert [step["progress"] for step in shown["steps"]] == [100.0, 50.0, 100.0]


def test_live_progress_never_lowers_the_progress_of_the_row() -> None:
    steps = (a_step("transcode", "active", progress=0.6),)
    assert as_json(job_view(a_job(1, "active", steps), LiveOverlay({"transcode": 0.4})))["progress"] == 60.0


def test_a_completed_job_is_at_100_percent() -> None:
    assert as_json(job_view(a_job(1, "completed", (a_step("noop", "completed", weight=0.0),))))["progress"] == 100.0


def test_100_percent_is_not_shown_before_it_is_true() -> None:
    assert percent(0.99999) == 99.9


def test_a_delayed_step_has_the_time_and_reason_of_its_retry() -> None:
    step = a_step("transcode", "delayed", attempt=1, failures=1, due_at=NOW, error=an_error())
    shown = as_json(job_view(a_job(1, "active", (step,))))["steps"][0]
    assert shown["retry_at"] == "2026-05-28T20:26:40.000Z"
    assert shown["error"] == {"code": "corrupt-media", "message": "The file ends too early.", "retriable": False}


def test_the_current_step_is_the_running_one_then_the_delayed_one_then_the_next() -> None:
    waiting, delayed, active = a_step("probe"), a_step("transcode", "delayed"), a_step("thumbnails", "active")
    assert current_step(a_job(1, "active", (waiting, delayed, active))) == "thumbnails"
    assert current_step(a_job(1, "active", (waiting, delayed))) == "transcode"
    assert current_step(a_job(1, "waiting", (waiting,))) == "probe"
    assert current_step(a_job(1, "failed", (waiting,))) is None


@given(
    policy=st.integers(1, 10),
    failures=st.integers(0, 10),
    losses=st.integers(0, 8),
    asleep=st.integers(0, 3),
    released=st.integers(0, 5),
)
def test_the_attempt_is_never_beyond_the_attempts(
    policy: int, failures: int, losses: int, asleep: int, released: int
) -> None:
    tried = failures + losses + asleep + released
    for attempt in (tried, tried + 1):
        step = a_step(attempts=policy, attempt=attempt, failures=min(failures, policy), losses=losses, asleep=asleep)
        assert attempts_allowed(step) >= max(attempt, policy)


def test_a_lost_executor_does_not_use_up_an_attempt() -> None:
    assert attempts_allowed(a_step(attempts=3, status="active", attempt=2, losses=1)) == 4


def test_an_asset_shows_its_jobs_in_order_and_where_it_can_be_played() -> None:
    outputs = {"transcode": {"master": "assets/asset_000001/transcode/1-l/master.m3u8"}}
    shown = as_json(asset_view(an_asset(1, "READY", outputs=outputs), "http://a"))
    assert shown["master_url"] == "http://a/media/asset_000001/transcode/1-l/master.m3u8"
    assert shown["poster_url"] is None


def test_an_output_outside_the_assets_folder_gets_no_address() -> None:
    outputs = {"transcode": {"master": "assets/asset_000002/transcode/1-l/master.m3u8"}}
    assert as_json(asset_view(an_asset(1, "READY", outputs=outputs)))["master_url"] is None


def test_the_master_with_captions_is_played_while_it_lists_the_renditions_that_are_published() -> None:
    ladder, captions = "assets/asset_000001/transcode/1-l/master.m3u8", "assets/asset_000001/captions/1-c/master.m3u8"
    outputs = {"transcode": {"master": ladder}, "captions": {"master": captions, "based_on": ladder}}
    assert (
        as_json(asset_view(an_asset(1, "READY", outputs=outputs)))["master_url"]
        == "/media/asset_000001/captions/1-c/master.m3u8"
    )
    outputs["transcode"] = {"master": "assets/asset_000001/transcode/1-later/master.m3u8"}
    shown = as_json(asset_view(an_asset(1, "READY", outputs=outputs)))
    assert shown["master_url"] == "/media/asset_000001/transcode/1-later/master.m3u8"


def test_an_optional_step_is_marked_and_its_failure_does_not_fail_the_job() -> None:
    embed = a_step("embed", "failed", error=an_error())
    embed = replace(embed, spec=replace(embed.spec, optional=True))
    view = job_view(a_job(1, "completed", (a_step("probe", "completed"), embed)))
    assert (view.status, view.progress, view.error) == ("completed", 100.0, UNSET)
    assert [step.optional for step in view.steps] == [UNSET, True]
    assert view.steps[1].error is not UNSET
    assert as_json(view)["warnings"] == [{"step": "embed", "code": "corrupt-media", "message": an_error().message}]


def test_an_asset_shows_what_is_missing_and_which_part_is_damaged() -> None:
    damage = {"code": "media-damaged", "message": "A part is damaged.", "start_ms": 60_000}
    missing = {"captions": MissingStep(job_id="j", code="model-failed", message="The model failed.", at=NOW)}
    shown = as_json(asset_view(an_asset(1, "READY", outputs={"transcode": {"warnings": [damage]}}, missing=missing)))
    assert shown["warnings"] == [
        {"step": "captions", "code": "model-failed", "message": "The model failed."},
        {"step": "transcode", **damage},
    ]
    assert as_json(asset_view(an_asset(1, "READY")))["warnings"] == []

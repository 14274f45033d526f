"""A finished ladder is never lost: what is missing beside it is a warning that says why."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.base import ErrorRecord, StepWarning
from schemas.facts import AssetReady, JobCompleted
from schemas.jobs import Asset, Input, Job, MissingStep, Step, StepSpec
from schemas.step_events import AttemptCompleted, AttemptFailed, AttemptSkipped
from tables.assets import asset_effects, fold_asset, forget_job
from tables.bounds import MAX_CODE_BYTES, MAX_OUTPUTS_BYTES, MAX_WARNING_BYTES, MAX_WARNINGS, outputs_fit
from tables.job_warnings import asset_warnings, job_warnings
from tables.pipelines import load_pipelines
from tables.rows import decode_asset, encode_row
from tests.unit.tables.example_job import BROKEN, accept, apply, event_of, step_of, submitted

PIPELINES = Path(__file__).parents[3] / "deploy" / "pipelines"
STANDARD = load_pipelines(PIPELINES)["standard"]
DAMAGE: dict[str, Any] = {
    "code": "media-damaged",
    "message": "A part is damaged.",
    "start_ms": 60_000,
    "end_ms": 75_000,
}


def run(job: Job, events: dict[str, tuple[Any, dict[str, Any]]]) -> tuple[Job, list[Any]]:
    """The job after each of its steps ended as `events` says; those without an event complete."""
    every: list[Any] = []
    for step in job.steps:
        name = step.spec.name
        if step_of(job, name).requested_at is None:
            continue
        job, _ = apply(job, accept(job, name, f"L-{name}"))
        kind, more = events.get(name, (AttemptCompleted, {"outputs": {"file": f"{name}.x"}}))
        job, effects = apply(job, event_of(kind, job, name, lease_id=f"L-{name}", **more), now=2.0)
        every += effects
    return job, every


def failing(*names: str) -> dict[str, tuple[Any, dict[str, Any]]]:
    return {name: (AttemptFailed, {"error": BROKEN}) for name in names}


@pytest.mark.parametrize("pipeline", ["standard", "video"])
def test_a_shipped_pipeline_does_without_everything_but_the_probe_and_the_ladder(pipeline: str) -> None:
    steps = load_pipelines(PIPELINES)[pipeline]
    assert {spec.name for spec in steps if not spec.optional} == {"probe", "transcode"}


@pytest.mark.parametrize(
    "broken, missing",
    [
        (["thumbnails"], ["thumbnails"]),
        (["captions"], ["captions"]),
        (["embed"], ["embed"]),
        (["transcribe"], ["transcribe", "captions", "embed"]),
        (["audio"], ["audio", "transcribe", "captions", "embed"]),
        (["thumbnails", "captions"], ["thumbnails", "captions"]),
    ],
)
def test_a_finished_ladder_is_published_with_what_is_missing_and_why(broken: list[str], missing: list[str]) -> None:
    job, effects = run(submitted(STANDARD)[0], failing(*broken))
    assert job.status == "completed"
    (completed,) = [effect for effect in effects if isinstance(effect, JobCompleted)]
    assert sorted(warning.step for warning in completed.warnings) == sorted(missing)
    reasons = {warning.step: (warning.code, warning.message) for warning in completed.warnings}
    assert all(reasons[name] == (BROKEN.code, BROKEN.message) for name in broken)
    for name in set(missing) - set(broken):
        assert reasons[name] == (f"{broken[0]}-failed", f"Skipped because {broken[0]} failed.")
    asset = fold_asset(None, job)
    (ready,) = asset_effects(asset, job)
    assert isinstance(ready, AssetReady) and asset.status == "READY"
    assert sorted(ready.warnings, key=str) == sorted(completed.warnings, key=str)


@pytest.mark.parametrize("broken", ["probe", "transcode"])
def test_without_an_indispensable_step_the_job_fails(broken: str) -> None:
    job, effects = run(submitted(STANDARD)[0], failing(broken))
    assert job.status == "failed" and job.error == BROKEN
    assert not any(isinstance(effect, JobCompleted) for effect in effects)


def test_a_step_that_does_not_apply_is_no_warning() -> None:
    silent = {"audio": (AttemptSkipped, {"reason": "no-audio-track"})}
    job, _ = run(submitted(STANDARD)[0], silent)
    assert job.status == "completed" and job_warnings(job) == ()


def test_damaged_places_that_a_step_reports_reach_the_job_and_the_asset() -> None:
    outputs = {"master": "m", "warnings": [DAMAGE]}
    job, effects = run(submitted(STANDARD)[0], {"transcode": (AttemptCompleted, {"outputs": outputs})})
    expected = (StepWarning(step="transcode", **DAMAGE),)
    assert [effect.warnings for effect in effects if isinstance(effect, JobCompleted)] == [expected]
    assert asset_warnings(fold_asset(None, job)) == expected


def finished(number: int, captions: Step, ended_at: float) -> Job:
    ladder = Step(spec=StepSpec(name="transcode"), status="completed", outputs={"n": number}, finished_at=ended_at)
    return Job(
        id=f"job_{number}",
        asset_id="asset_1",
        pipeline="standard",
        status="completed",
        steps=(ladder, replace(captions, finished_at=ended_at)),
        input=Input(object="k"),
        created_at=float(number),
        updated_at=ended_at,
        finished_at=ended_at,
    )


CAPTIONS = StepSpec(name="captions", optional=True)
FAILED = Step(spec=CAPTIONS, status="failed", error=BROKEN)
DONE = Step(spec=CAPTIONS, status="completed", outputs={"vtt": "v"})


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_later_job_that_has_what_was_missing_ends_the_warning_whatever_the_order(order: tuple[int, int]) -> None:
    jobs = (finished(1, FAILED, 5.0), finished(2, DONE, 9.0))
    asset = fold_asset(fold_asset(None, jobs[order[0]]), jobs[order[1]])
    assert asset_warnings(asset) == ()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_later_job_that_lacks_what_was_there_warns_whatever_the_order(order: tuple[int, int]) -> None:
    jobs = (finished(1, DONE, 5.0), finished(2, FAILED, 9.0))
    asset = fold_asset(fold_asset(None, jobs[order[0]]), jobs[order[1]])
    assert [warning.step for warning in asset_warnings(asset)] == ["captions"]


def test_the_warning_is_back_when_the_job_that_ended_it_is_deleted_and_goes_with_its_own_job() -> None:
    first, second = finished(1, FAILED, 5.0), finished(2, DONE, 9.0)
    both = fold_asset(fold_asset(None, first), second)
    left = forget_job(both, second, [first], artifacts=True)
    assert left is not None and [warning.step for warning in asset_warnings(left)] == ["captions"]
    left = forget_job(both, first, [second], artifacts=True)
    assert left is not None and asset_warnings(left) == () and left.missing == {}


def test_the_warning_of_an_older_job_is_back_when_the_newer_that_also_failed_is_deleted() -> None:
    first, second = finished(1, FAILED, 5.0), finished(2, FAILED, 9.0)
    both = fold_asset(fold_asset(None, first), second)
    left = forget_job(both, second, [first], artifacts=True)
    assert left is not None and left.missing["captions"].job_id == "job_1"


def test_a_retention_keeps_the_warning_of_the_files_that_it_keeps() -> None:
    job = finished(1, FAILED, 5.0)
    left = forget_job(fold_asset(None, job), job, (), artifacts=False)
    assert left is not None and [warning.step for warning in asset_warnings(left)] == ["captions"]


def test_a_replay_gives_the_same_row() -> None:
    job = finished(1, FAILED, 5.0)
    asset = fold_asset(None, job)
    assert fold_asset(asset, job) is asset
    assert decode_asset(encode_row(asset)) == asset


def test_rows_and_facts_of_older_versions_have_no_warnings() -> None:
    job = finished(1, DONE, 5.0)
    row = msgspec.to_builtins(fold_asset(None, job))
    assert "missing" not in row and msgspec.convert(row, Asset).missing == {}
    fact = {"job_id": "j", "asset_id": "a", "pipeline": "p", "run": 1}
    assert msgspec.convert(fact, JobCompleted).warnings == ()
    assert msgspec.convert({"job_id": "j", "asset_id": "a", "run": 1}, AssetReady).warnings == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*DAMAGE, "x"]), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_whatever_an_executor_writes_as_warnings_ends_in_a_bounded_list(value: Any) -> None:
    step = Step(spec=StepSpec(name="transcode"), status="completed", outputs={"warnings": value}, finished_at=1.0)
    warnings = job_warnings(replace(finished(1, DONE, 5.0), steps=(step,)))
    assert len(warnings) <= MAX_WARNINGS
    msgspec.json.encode(warnings)


def test_a_flood_of_damage_is_cut_and_never_hides_what_is_missing() -> None:
    flood = [DAMAGE | {"message": "x" * 5000, "code": "y" * 5000}] * 100
    ladder = Step(spec=StepSpec(name="transcode"), status="completed", outputs={"warnings": flood}, finished_at=1.0)
    long = ErrorRecord(code="z" * 5000, message="z" * 5000)
    warnings = job_warnings(replace(finished(1, DONE, 5.0), steps=(ladder, replace(FAILED, error=long))))
    assert len(warnings) == MAX_WARNINGS and warnings[0].step == "captions"
    for warning in warnings:
        assert len(warning.code) <= MAX_CODE_BYTES and len(warning.message) <= MAX_WARNING_BYTES


@pytest.mark.parametrize("count", [40, 150, 1000])
def test_more_damage_than_a_row_can_hold_does_not_cost_the_ladder(count: int) -> None:
    outputs = {"master": "m", "warnings": [DAMAGE | {"start_ms": n} for n in range(count)]}
    job, _ = run(submitted(STANDARD)[0], {"transcode": (AttemptCompleted, {"outputs": outputs})})
    kept = step_of(job, "transcode").outputs
    assert job.status == "completed" and kept is not None
    assert kept["warnings"] == outputs["warnings"][: len(kept["warnings"])]
    assert len(kept["warnings"]) == count or len(msgspec.json.encode(kept)) > MAX_OUTPUTS_BYTES - 200
    assert outputs_fit(kept)


def test_a_missing_step_in_an_assets_row_is_bounded() -> None:
    long = ErrorRecord(code="z" * 5000, message="\x01" * 5000)
    missing = fold_asset(None, finished(1, replace(FAILED, error=long), 5.0)).missing["captions"]
    assert isinstance(missing, MissingStep)
    assert len(msgspec.json.encode(missing.message)) <= MAX_WARNING_BYTES

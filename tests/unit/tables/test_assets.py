"""An asset is a fold of its jobs."""

from msgspec.structs import replace

from schemas.base import ErrorRecord
from schemas.facts import AssetFailed, AssetReady
from schemas.jobs import Input, Job, Step, StepSpec
from tables.assets import fold_asset, forget_job, new_asset_effects


def job(number: int, **changes: object) -> Job:
    made = Job(
        id=f"job_{number}",
        asset_id="asset_1",
        pipeline="standard",
        status="waiting",
        steps=(Step(spec=StepSpec(name="transcode")),),
        input=Input(object="k"),
        created_at=float(number),
        updated_at=float(number),
    )
    return replace(made, **changes)


def completed(number: int, finished_at: float) -> Job:
    step = Step(spec=StepSpec(name="transcode"), status="completed", outputs={"n": number}, finished_at=finished_at)
    return job(number, status="completed", steps=(step,), finished_at=finished_at)


def test_the_first_job_makes_the_asset_and_its_states_follow() -> None:
    asset = fold_asset(None, job(1))
    assert asset.status == "UPLOADED"
    asset = fold_asset(asset, job(1, status="active"))
    assert asset.status == "PROCESSING"
    assert fold_asset(asset, completed(1, 5.0)).status == "READY"


def test_folding_a_job_twice_changes_nothing() -> None:
    asset = fold_asset(None, completed(1, 5.0))
    assert fold_asset(asset, completed(1, 5.0)) is asset


def test_a_failed_first_job_fails_the_asset_with_its_code() -> None:
    error = ErrorRecord(code="corrupt-media", message="")
    failed = job(1, status="failed", error=error, finished_at=2.0)
    asset = fold_asset(None, failed)
    assert (asset.status, asset.reason) == ("FAILED", "corrupt-media")
    assert isinstance(new_asset_effects(None, asset, failed)[0], AssetFailed)


def test_a_cancelled_first_job_leaves_the_asset_failed_as_cancelled() -> None:
    asset = fold_asset(None, job(1, status="cancelled", finished_at=2.0))
    assert (asset.status, asset.reason) == ("FAILED", "cancelled")


def test_a_later_failure_leaves_a_ready_asset_ready() -> None:
    asset = fold_asset(None, completed(1, 5.0))
    later = job(2, status="failed", finished_at=9.0)
    assert fold_asset(asset, later).status == "READY"
    assert new_asset_effects(None, fold_asset(asset, later), later) == []


def test_the_newest_outputs_win_whatever_the_order_of_jobs() -> None:
    newer, older = completed(2, 9.0), completed(1, 5.0)
    assert fold_asset(fold_asset(None, newer), older).outputs == {"transcode": {"n": 2}}
    assert fold_asset(fold_asset(None, older), newer).outputs == {"transcode": {"n": 2}}


def test_being_ready_is_said_once() -> None:
    asset = fold_asset(None, job(1))
    ready = fold_asset(asset, completed(1, 5.0))
    assert isinstance(new_asset_effects(asset.jobs["job_1"], ready, completed(1, 5.0))[0], AssetReady)
    assert new_asset_effects(ready.jobs["job_1"], ready, completed(1, 5.0)) == []


def test_an_asset_without_its_only_job_is_gone() -> None:
    assert forget_job(fold_asset(None, completed(1, 5.0)), completed(1, 5.0), (), artifacts=True) is None
    failed = job(1, status="failed", finished_at=2.0)
    assert forget_job(fold_asset(None, failed), failed, (), artifacts=False) is None


def test_a_retention_leaves_a_ready_asset_as_playable_as_it_was() -> None:
    ready = fold_asset(None, completed(1, 5.0))
    left = forget_job(ready, completed(1, 5.0), (), artifacts=False)
    assert left is not None and (left.status, left.outputs, left.jobs) == ("READY", ready.outputs, {})
    assert fold_asset(left, job(2, status="failed", finished_at=9.0)).status == "READY"


def test_what_an_older_job_had_published_stands_again_when_the_newer_is_deleted() -> None:
    older, newer = completed(1, 5.0), completed(2, 9.0)
    both = fold_asset(fold_asset(None, older), newer)
    left = forget_job(both, newer, [older], artifacts=True)
    assert left is not None and left.outputs == {"transcode": {"n": 1}} and list(left.jobs) == ["job_1"]
    left = forget_job(both, older, [newer], artifacts=True)
    assert left is not None and left.outputs == {"transcode": {"n": 2}}


def test_cached_media_has_a_status_in_words_of_its_own() -> None:
    cached = {"pipeline": "cache", "input": Input(url="https://example.org/a.mp4")}
    step = Step(spec=StepSpec(name="download"), status="completed", outputs={"object": "k"}, finished_at=5.0)
    asset = fold_asset(None, job(1, **cached))
    assert asset.status == "PENDING"
    assert fold_asset(asset, job(1, **cached, status="active")).status == "DOWNLOADING"
    assert (
        fold_asset(asset, job(1, **cached, status="failed", error=ErrorRecord(code="c", message="m"))).status
        == "FAILED"
    )
    done = job(1, **cached, status="completed", steps=(step,), finished_at=5.0)
    kept = forget_job(fold_asset(asset, done), done, (), artifacts=False)
    assert fold_asset(asset, done).status == "CACHED"
    assert kept is not None
    assert kept.status == "CACHED"

"""A film without captions gets them by a retry, and plays all the while."""

from typing import Any

import pytest

from schemas.commands import CancelJob, RetryJob
from schemas.facts import AssetReady, JobCompleted
from schemas.jobs import Asset, Job
from schemas.step_events import AttemptCancelled, AttemptSkipped
from tables.assets import fold_asset, forget_job, new_asset_effects, summary_of
from tables.job_warnings import asset_warnings, is_incomplete, job_warnings
from tables.rows import decode_asset, decode_job, encode_row
from tests.unit.tables.example_job import accept, apply, event_of, step_of, submitted
from tests.unit.tables.test_job_warnings import STANDARD, failing, run


def retry(job: Job) -> Any:
    return RetryJob(job_id=job.id, asset_id=job.asset_id, run=job.run)


def without(*names: str) -> tuple[Job, Asset]:
    """A job that completed without these steps, and its asset."""
    job, _ = run(submitted(STANDARD)[0], failing(*names))
    return job, fold_asset(None, job)


def test_a_retry_runs_the_missing_steps_again_and_keeps_the_ladder() -> None:
    job, _ = without("audio")
    retried, _ = apply(job, retry(job))
    assert (retried.status, retried.run) == ("waiting", 2)
    again = {step.spec.name for step in retried.steps if step.status == "waiting"}
    assert again == {"audio", "transcribe", "captions", "embed"}
    assert step_of(retried, "transcode") == step_of(job, "transcode")


def test_the_asset_plays_during_the_retry_and_has_no_warnings_after_it() -> None:
    job, asset = without("thumbnails")
    job, _ = apply(job, retry(job))
    asset = fold_asset(asset, job)
    assert asset.status == "READY" and "transcode" in asset.outputs
    known = summary_of(asset, job, None)
    job, effects = run(job, {})
    after = fold_asset(asset, job)
    assert any(isinstance(effect, JobCompleted) and effect.run == 2 for effect in effects)
    (ready,) = new_asset_effects(known, after, job)
    assert isinstance(ready, AssetReady) and ready.warnings == () and "thumbnails" in ready.outputs
    assert (after.status, asset_warnings(after), job_warnings(job)) == ("READY", (), ())


def test_a_retry_that_fails_again_or_is_cancelled_leaves_the_asset_ready() -> None:
    job, asset = without("thumbnails")
    first, _ = apply(job, retry(job))
    failed, _ = run(first, failing("thumbnails"))
    after = fold_asset(fold_asset(asset, first), failed)
    assert (failed.status, after.status) == ("completed", "READY")
    assert [warning.step for warning in asset_warnings(after)] == ["thumbnails"]
    active, _ = apply(first, accept(first, "thumbnails", "L2"))
    ending, _ = apply(active, CancelJob(job_id=job.id, asset_id=job.asset_id))
    cancelled, _ = apply(ending, event_of(AttemptCancelled, ending, "thumbnails", lease_id="L2"))
    after = fold_asset(fold_asset(asset, active), cancelled)
    assert (cancelled.status, after.status) == ("cancelled", "READY")


@pytest.mark.parametrize("skipped", [False, True])
def test_a_job_that_lacks_nothing_is_not_run_again(skipped: bool) -> None:
    events: dict[str, Any] = {"audio": (AttemptSkipped, {"reason": "no-audio-track"})} if skipped else {}
    job, _ = run(submitted(STANDARD)[0], events)
    assert not is_incomplete(job)
    assert apply(job, retry(job))[0] is job


def test_a_repeated_retry_is_one() -> None:
    job, _ = without("thumbnails")
    retried, _ = apply(job, retry(job))
    assert apply(retried, retry(job))[0] is retried


def test_rows_remember_that_a_run_completed() -> None:
    job, asset = without("thumbnails")
    retried, _ = apply(job, retry(job))
    after = fold_asset(asset, retried)
    assert decode_job(encode_row(retried)) == retried
    assert decode_asset(encode_row(after)) == after
    assert fold_asset(after, retried) is after


def test_the_job_takes_its_ladder_along_when_it_is_deleted_with_its_files() -> None:
    job, asset = without("thumbnails")
    job, _ = apply(job, retry(job))
    asset = fold_asset(asset, job)
    job, _ = run(job, {})
    assert forget_job(fold_asset(asset, job), job, [], artifacts=True) is None

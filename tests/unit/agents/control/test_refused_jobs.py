"""What control refuses after a 2xx is a failed job that its submitter sees, and nobody else is disturbed by."""

from typing import Any

import pytest

from schemas.commands import CancelJob, DeleteAsset, DeleteJob, RetryJob, SubmitJob
from schemas.facts import DeadLetter, JobDeleted, JobFailed, JobSubmitted
from schemas.jobs import Input, Job, StepSpec
from streams.ids import namespaced_id
from tables.rebuild_check import LogMessage, PartitionLog, compare
from tables.refused_jobs import MAX_REFUSED
from tests.unit.agents.control.world import Log


def submit(number: int, owner: str | None, asset: str = "asset_1", **more: Any) -> SubmitJob:
    fields: dict[str, Any] = {
        "pipeline": "noop",
        "steps": (StepSpec(name="noop"),),
        "input": Input(object="k"),
        "passthrough": "mine",
        **more,
    }
    return SubmitJob(
        job_id=f"job_{number}", asset_id=asset, submitted_at=1_000.0 + number, owner=owner, body_hash="h", **fields
    )


async def contested() -> tuple[Log, Any]:
    """Two owners submit for one new asset id."""
    log = Log()
    control = await log.control()
    await log.send(control, submit(1, "anna"), submit(2, "bert"))
    return log, control


async def test_the_second_of_two_owners_gets_a_job_that_says_why() -> None:
    log, _ = await contested()
    job = log.jobs["job_2"]
    assert (job.status, job.owner, job.refused, job.steps) == ("failed", "bert", True, ())
    assert job.error is not None and job.error.code == "asset-of-another-owner"
    assert (job.passthrough, job.body_hash, job.finished_at) == ("mine", "h", log.now)
    assert [fact.job_id for fact in log.all(JobSubmitted)] == ["job_1", "job_2"]
    assert [(fact.job_id, fact.owner) for fact in log.all(JobFailed)] == [("job_2", "bert")]
    assert [letter.error.code for letter in log.all(DeadLetter)] == ["asset-of-another-owner"]


@pytest.mark.parametrize("owner", ["bert", None])
async def test_nobody_takes_over_the_id_that_another_owner_chose_for_an_asset_that_is_gone(owner: str | None) -> None:
    log = Log()
    control = await log.control()
    chosen = namespaced_id("anna", "talk")
    await log.send(control, submit(1, owner, chosen))
    assert (log.jobs["job_1"].refused, log.assets) == (True, {})
    await log.send(control, submit(2, "anna", chosen))
    assert (log.jobs["job_2"].refused, log.assets[chosen].owner) == (False, "anna")


async def test_the_first_owner_s_asset_is_as_if_it_had_not_happened() -> None:
    log, control = await contested()
    assert (list(log.assets["asset_1"].jobs), log.assets["asset_1"].owner) == (["job_1"], "anna")
    await log.send(control, CancelJob(job_id="job_1", asset_id="asset_1"))
    await log.send(control, DeleteAsset(asset_id="asset_1", requested_at=5.0))
    assert log.assets == {}
    assert set(log.jobs) == {"job_2"}


async def test_a_refused_job_can_be_deleted_and_nothing_else() -> None:
    log, control = await contested()
    before = log.jobs["job_2"]
    await log.send(control, RetryJob(job_id="job_2", asset_id="asset_1", run=1))
    await log.send(control, CancelJob(job_id="job_2", asset_id="asset_1"))
    await log.send(control, submit(2, "bert"))
    assert log.jobs["job_2"].status == before.status and log.jobs["job_2"].run == 1
    await log.send(control, DeleteJob(job_id="job_2", asset_id="asset_1"))
    assert set(log.jobs) == {"job_1"} and set(log.deleted) == {"job_2"}
    assert list(log.assets["asset_1"].jobs) == ["job_1"]
    assert [fact.job_id for fact in log.all(JobDeleted)] == ["job_2"]


async def test_an_asset_has_a_hundred_refused_jobs_at_most_the_newest_also_after_a_restart() -> None:
    log = Log()
    control = await log.control()
    await log.send(control, submit(0, "anna"))
    await log.send(control, *(submit(n, "bert") for n in range(1, MAX_REFUSED + 21)))
    assert set(log.jobs) == {"job_0", *(f"job_{n}" for n in range(21, MAX_REFUSED + 21))}
    control = await log.control()
    log.now += 1
    await log.send(control, submit(999, "bert"))
    assert set(log.jobs) == {"job_0", "job_999", *(f"job_{n}" for n in range(22, MAX_REFUSED + 21))}
    assert list(log.assets["asset_1"].jobs) == ["job_0"]


async def test_a_replay_changes_nothing() -> None:
    log, _ = await contested()
    jobs, assets = log.jobs, log.assets
    await log.replay(await log.control(), [0, 1])
    assert {job.id: (job.status, job.refused) for job in log.jobs.values()} == {
        job.id: (job.status, job.refused) for job in jobs.values()
    }
    assert {asset.id: asset.jobs for asset in log.assets.values()} == {a.id: a.jobs for a in assets.values()}


async def test_a_submission_that_no_row_can_hold_is_a_smaller_row() -> None:
    log = Log()
    await log.send(await log.control(), submit(1, "anna", passthrough="x" * 70_000), submit(2, "anna", steps=()))
    assert {job.id: job.error.code for job in log.jobs.values() if job.error} == {
        "job_1": "row-too-large",
        "job_2": "invalid-pipeline",
    }
    assert (log.jobs["job_1"].passthrough, log.jobs["job_2"].passthrough) == (None, "mine")
    assert log.assets == {}


async def test_a_submission_with_a_bad_id_stays_a_dead_letter_alone() -> None:
    log = Log()
    await log.send(await log.control(), submit(1, "anna", asset="@watermark"), submit(2, "x" * 70_000, steps=()))
    assert log.jobs == {}
    assert len(log.all(DeadLetter)) == 2


async def test_refused_jobs_follow_from_the_log() -> None:
    log, control = await contested()
    await log.send(control, submit(3, "anna", steps=()))
    commands = [LogMessage(log.now, message) for message in log.commands]
    rows: dict[str, Any] = dict(log.jobs)
    assert compare(rows, PartitionLog(commands, [], 0.0)).differing == []
    forged = Job(**{name: getattr(rows["job_2"], name) for name in Job.__struct_fields__} | {"owner": "carl"})
    assert len(compare(rows | {"job_2": forged}, PartitionLog(commands, [], 0.0)).differing) == 1

"""Deletion of jobs and assets: final, whatever is replayed."""

from typing import Any

from schemas.commands import CancelJob, DeleteAsset, DeleteJob, RetryJob, SubmitJob
from schemas.facts import AssetDeleted, JobDeleted
from schemas.jobs import Input, StepSpec
from schemas.removals import RemoveArtifacts
from schemas.step_events import AttemptAccepted, AttemptCompleted, LeaseRevoked
from tables.rows import DELETED_TTL_S
from tests.unit.agents.control.world import Log

OF_JOB: dict[str, Any] = {"job_id": "job_1", "asset_id": "asset_1"}


def submit(number: int = 1, asset: int = 1) -> SubmitJob:
    return SubmitJob(
        job_id=f"job_{number}",
        asset_id=f"asset_{asset}",
        pipeline="noop",
        steps=(StepSpec(name="noop"),),
        input=Input(object="k"),
        submitted_at=1.0,
        owner="anna",
    )


ABOUT: dict[str, Any] = {**OF_JOB, "run": 1, "step": "noop", "attempt": 1, "lease_id": "L1"}
ACCEPTED = AttemptAccepted(**ABOUT, executor_id="e", requested_at=1.0, request_partition=0)
DONE = AttemptCompleted(**ABOUT, outputs={"n": 1})
STORY = (submit(), ACCEPTED, DONE, DeleteJob(**OF_JOB))


async def test_a_deleted_job_is_gone_with_its_asset_and_its_files() -> None:
    log = Log()
    control = await log.control()
    await log.send(control, *STORY)
    assert not log.jobs and not log.assets and list(log.deleted) == ["job_1"]
    assert [fact.job_id for fact in log.all(JobDeleted)] == ["job_1"]
    [fact] = log.all(AssetDeleted)
    assert (fact.asset_id, fact.owner) == ("asset_1", "anna")
    orders = log.all(RemoveArtifacts)
    assert {order.whole_asset for order in orders} == {True, False}
    assert {prefix for order in orders for prefix in order.prefixes} == {"assets/asset_1/noop/1-L1"}
    assert log.applied_offset() == len(STORY) - 1


async def test_a_replay_of_everything_recreates_nothing_and_publishes_nothing_new() -> None:
    log = Log()
    await log.send(await log.control(), *STORY)
    before = dict(log.published)
    for _ in range(2):
        await log.replay(await log.control(), range(len(STORY)))
        assert not log.jobs and not log.assets and list(log.deleted) == ["job_1"]
    assert {i for i in log.published.keys() - before.keys() if not isinstance(log.published[i], LeaseRevoked)} == set()


async def test_effects_lost_by_a_kill_are_published_after_it() -> None:
    log = Log()
    control = await log.control()
    await log.send(control, *STORY)
    before, log.published = log.published, {}
    await log.replay(await log.control(), [len(STORY) - 1])
    deletions = (JobDeleted, AssetDeleted, RemoveArtifacts)
    assert log.published.keys() == {i for i, message in before.items() if isinstance(message, deletions)}


async def test_the_deletion_of_an_asset_says_again_what_it_said_at_first() -> None:
    log = Log()
    story = (*STORY[:-1], DeleteAsset(asset_id="asset_1", requested_at=5.0))
    await log.send(await log.control(), *story)
    [first] = log.all(AssetDeleted)
    log.published = {}
    await log.replay(await log.control(), [len(story) - 1])
    assert (first.owner, log.all(AssetDeleted)) == ("anna", [first])


async def test_late_messages_do_not_resurrect_it_after_a_restart() -> None:
    log = Log()
    await log.send(await log.control(), *STORY)
    control = await log.control()
    await log.send(control, submit(), RetryJob(**OF_JOB, run=1), CancelJob(**OF_JOB), DONE, ACCEPTED)
    assert not log.jobs and not log.assets
    assert [revoked.lease_id for revoked in log.all(LeaseRevoked)] == ["L1"]


async def test_a_running_job_and_its_asset_stay() -> None:
    log = Log()
    control = await log.control()
    await log.send(control, submit(), ACCEPTED, DeleteJob(**OF_JOB), DeleteAsset(asset_id="asset_1", requested_at=5.0))
    assert list(log.jobs) == ["job_1"] and list(log.assets) == ["asset_1"] and not log.deleted


async def test_a_retention_keeps_the_asset_and_its_files() -> None:
    log = Log()
    control = await log.control()
    await log.send(control, *STORY[:3], DeleteJob(**OF_JOB, artifacts=False))
    assert not log.jobs and log.assets["asset_1"].status == "READY" and not log.all(RemoveArtifacts)


async def test_an_asset_goes_with_all_its_jobs_and_a_new_one_may_have_its_id() -> None:
    log = Log()
    control = await log.control()
    await log.send(control, *STORY[:3], submit(2), CancelJob(job_id="job_2", asset_id="asset_1"))
    await log.send(control, DeleteAsset(asset_id="asset_1", requested_at=5.0))
    assert not log.jobs and not log.assets and set(log.deleted) == {"job_1", "job_2"}
    await log.send(control, submit(3))
    assert list(log.jobs) == ["job_3"] and list(log.assets) == ["asset_1"]


async def test_files_of_an_asset_that_comes_after_are_spared_whatever_the_clients_clock_says() -> None:
    log = Log()
    control = await log.control()
    await log.send(control, *STORY[:3], DeleteAsset(asset_id="asset_1", requested_at=log.now + 32 * 86_400.0))
    assert [order.deleted_at for order in log.all(RemoveArtifacts)] == [log.now]
    assert [fact.deleted_at for fact in log.all(AssetDeleted)] == [log.now]


async def test_the_mark_of_a_deleted_job_goes_when_nothing_can_recreate_the_job() -> None:
    log = Log()
    await log.send(await log.control(), *STORY)
    control = await log.control()
    deleted_at = log.deleted["job_1"].deleted_at
    control._timers.clock.observe(deleted_at + DELETED_TTL_S - 1)
    await control.tick()
    assert log.deleted
    control._timers.clock.observe(deleted_at + DELETED_TTL_S + 1)
    await control.tick()
    assert not log.deleted

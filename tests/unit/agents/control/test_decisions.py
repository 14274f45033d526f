"""A replay after a restart publishes lost effects again, and applies nothing a second time."""

from typing import Any

from msgspec.structs import replace

from schemas.commands import CancelJob, DeleteAsset, DeleteJob, PauseQueue, ResumeQueue, RetryJob
from schemas.facts import AssetDeleted, DeadLetter, JobDeleted
from schemas.jobs import Input
from schemas.step_events import (
    AttemptAccepted,
    AttemptCancelled,
    AttemptCompleted,
    LeaseRevoked,
    QueueChanged,
    StepRequested,
)
from schemas.uploads import UploadCompleted
from tables.submissions import event_hash
from tests.unit.agents.control.test_deletion import ABOUT, ACCEPTED, DONE, OF_JOB, submit
from tests.unit.agents.control.world import Log


async def test_a_cancel_that_is_read_again_spares_the_run_that_a_retry_began() -> None:
    log = Log()
    history = (submit(), ACCEPTED, CancelJob(**OF_JOB), AttemptCancelled(**ABOUT), RetryJob(**OF_JOB, run=1))
    await log.send(await log.control(), *history)
    log.published.clear()
    await log.replay(await log.control(), range(len(history)))
    assert (log.jobs["job_1"].status, log.jobs["job_1"].run, log.jobs["job_1"].cancelling) == ("waiting", 2, False)
    assert [request.run for request in log.all(StepRequested)] == [2]


async def test_a_lost_revoke_is_published_again() -> None:
    log = Log()
    history = (submit(), ACCEPTED, CancelJob(**OF_JOB))
    await log.send(await log.control(), *history)
    log.published.clear()
    await log.replay(await log.control(), [2])
    assert [revoked.lease_id for revoked in log.all(LeaseRevoked)] == ["L1"]


async def test_a_deletion_that_is_read_again_spares_what_was_made_since() -> None:
    log = Log()
    history = (submit(), ACCEPTED, DONE, DeleteAsset(asset_id="asset_1", requested_at=5.0), submit(2))
    about: dict[str, Any] = {**ABOUT, "job_id": "job_2", "lease_id": "L2"}
    accepted = AttemptAccepted(**about, executor_id="e", requested_at=1.0, request_partition=0)
    await log.send(await log.control(), *history, accepted, AttemptCompleted(**about))
    await log.replay(await log.control(), range(len(log.commands)))
    assert list(log.jobs) == ["job_2"] and list(log.assets) == ["asset_1"]


async def test_a_deletion_whose_asset_row_was_not_written_is_finished() -> None:
    log = Log()
    await log.send(await log.control(), submit(), ACCEPTED, DONE)
    row = dict(log.changelogs["assets"])
    await log.send(await log.control(), DeleteAsset(asset_id="asset_1", requested_at=5.0))
    log.changelogs["assets"] = row  # the kill came between the two changelogs
    log.published.clear()
    await log.replay(await log.control(), range(len(log.commands)))
    assert not log.assets and not log.jobs
    assert [fact.asset_id for fact in log.all(AssetDeleted)] == ["asset_1"]


async def deleted_but_for_its_jobs(*deletion: Any) -> Log:
    """An asset with two jobs whose deletion was cut off by a kill: only the tombstone of the asset was written."""
    log = Log()
    about: dict[str, Any] = {**ABOUT, "job_id": "job_2", "lease_id": "L2"}
    accepted = AttemptAccepted(**about, executor_id="e", requested_at=1.0, request_partition=0)
    await log.send(await log.control(), submit(), ACCEPTED, DONE, submit(2), accepted, AttemptCompleted(**about))
    rows = dict(log.changelogs["jobs"])
    await log.send(await log.control(), *deletion)
    assert not log.assets
    log.changelogs["jobs"] = rows
    log.published.clear()
    return log


async def test_a_deletion_of_which_only_the_asset_row_was_written_deletes_its_jobs() -> None:
    log = await deleted_but_for_its_jobs(DeleteAsset(asset_id="asset_1", requested_at=5.0))
    await log.replay(await log.control(), [len(log.commands) - 1])
    assert not log.assets and not log.jobs
    assert sorted(fact.job_id for fact in log.all(JobDeleted)) == ["job_1", "job_2"]
    assert [(fact.asset_id, fact.owner) for fact in log.all(AssetDeleted)] == [("asset_1", "anna")]


async def test_jobs_without_an_asset_can_be_deleted_one_by_one_and_the_last_one_says_so() -> None:
    log = await deleted_but_for_its_jobs(DeleteAsset(asset_id="asset_1", requested_at=5.0))
    control = await log.control()
    await log.send(control, DeleteJob(**OF_JOB))
    assert list(log.jobs) == ["job_2"] and not log.all(AssetDeleted)
    await log.send(control, DeleteJob(job_id="job_2", asset_id="asset_1"))
    assert not log.jobs and [fact.asset_id for fact in log.all(AssetDeleted)] == ["asset_1"]


async def test_a_pause_that_is_read_again_after_its_end_pauses_nobody() -> None:
    log = Log()
    await log.send(await log.control(), PauseQueue(step="noop"), ResumeQueue(step="noop"))
    log.published.clear()
    await log.replay(await log.control(), [0, 1])
    assert [change.paused for change in log.all(QueueChanged)] == [False]


#: An upload event's job, the same event at another position, and another event with its id.
_FIRST = UploadCompleted(input=Input(object="a"))
USED = replace(submit(), body_hash=event_hash(_FIRST, "uploads/0/7"))
AGAIN = replace(USED, body_hash=event_hash(_FIRST, "uploads/3/1"))
OTHER = replace(USED, body_hash=event_hash(UploadCompleted(input=Input(object="b")), "uploads/0/8"))


def require_both_positions(log: Log) -> None:
    [letter] = log.all(DeadLetter)
    assert letter.error.code == "id-reused"
    assert "uploads/0/7" in letter.error.message and "uploads/0/8" in letter.error.message


async def test_an_event_with_the_id_of_another_one_is_rejected_and_its_repeat_is_not() -> None:
    log = Log()
    control = await log.control()
    await log.send(control, USED, AGAIN, submit())
    assert log.all(DeadLetter) == []
    await log.send(control, OTHER)
    require_both_positions(log)
    assert log.jobs["job_1"].body_hash == USED.body_hash


async def test_a_control_that_takes_over_knows_which_events_have_used_their_ids() -> None:
    log = Log()
    await log.send(await log.control(), USED)
    await log.send(await log.control(), AGAIN)
    assert log.all(DeadLetter) == []
    await log.send(await log.control(), OTHER)
    require_both_positions(log)
    await log.replay(await log.control(), range(3))  # whoever reads it again, it is one dead letter, by its id
    require_both_positions(log)


async def test_an_event_with_the_id_of_a_deleted_job_does_not_vanish_silently() -> None:
    log = Log()
    await log.send(await log.control(), USED, ACCEPTED, DONE, DeleteJob(**OF_JOB))
    await log.send(await log.control(), AGAIN)
    assert log.all(DeadLetter) == []
    await log.send(await log.control(), OTHER)
    require_both_positions(log)
    assert not log.jobs

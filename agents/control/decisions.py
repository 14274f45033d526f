"""Decisions of control: one message in, changed rows and effects out."""

import contextlib
from typing import Any

from agents.control.deletion import delete_asset, delete_job
from agents.control.record_changes import RecordChanges
from agents.control.rejections import Rejected
from agents.control.transitions import advance_checked
from schemas.base import ErrorRecord
from schemas.commands import CancelJob, DeleteAsset, DeleteJob, LimitQueue, PauseQueue, ResumeQueue, RetryJob, SubmitJob
from schemas.jobs import DeletedJob, Job
from schemas.registry import message_types
from schemas.step_events import AttemptHeartbeat, JobDue, StepEvent
from schemas.steps import step_kinds
from streams.ids import is_foreign
from tables.assets import MAX_ASSET_JOBS
from tables.effects import Effects, implied_effects
from tables.queues import QueueCommand, advance_queue, queue_effects, queue_key
from tables.reducer import Advance, State
from tables.refused_jobs import refused_job
from tables.submissions import reused_event_id

# Sets of types: a chain of `isinstance` takes as long as the decision itself.
_QUEUE_COMMANDS = frozenset({PauseQueue, ResumeQueue, LimitQueue})
_MEDIA_MESSAGES = frozenset(
    kind
    for kind in message_types().values()
    if issubclass(kind, (SubmitJob, CancelJob, RetryJob, JobDue, DeleteJob, DeleteAsset, StepEvent))
)


def apply(changes: RecordChanges, message: Any) -> None:
    """Apply one message of `media.commands` or `media.step-events` to `changes`. Raises Rejected."""
    kind = type(message)
    if kind in _QUEUE_COMMANDS:
        _apply_to_queue(changes, message)
        return
    if kind not in _MEDIA_MESSAGES:
        raise Rejected("unexpected-type", f"control does not handle {message.TYPE}")
    changes.require_partition(message.asset_id, message.asset_id)
    if kind is DeleteAsset:
        changes.effects += delete_asset(changes, message)
    else:
        _apply_to_job(changes, message)


def refuse(changes: RecordChanges, message: Any, error: ErrorRecord) -> None:
    """Keep a submission that was rejected as a failed job, where that is possible: its submitter got a 2xx for it."""
    if not isinstance(message, SubmitJob):
        return
    with contextlib.suppress(Rejected):
        changes.require_partition(message.asset_id, message.asset_id)
        if changes.job(message.job_id) is not None:
            return
        job = refused_job(message, error, changes.now)
        if job is not None:
            changes.keep_refused(job)
            changes.effects += implied_effects(job)


def _apply_to_job(changes: RecordChanges, message: Any) -> None:
    before = changes.job(message.job_id)
    if type(message) is SubmitJob:
        if before is None:
            _require_free_asset(changes, message)
        else:
            _require_same_event(before, message)
    after, effects = _decide(changes, before, message)
    if isinstance(after, DeletedJob):
        changes.effects += effects + delete_job(changes, before, after, message)
    elif after is None or after.refused or isinstance(before, DeletedJob):
        changes.effects += effects
    else:
        _keep_job(changes, before, after, message, effects)


def _decide(changes: RecordChanges, before: State, message: Any) -> Advance:
    """A cancel names no run: when it is replayed, it must not cancel the run that a later retry started."""
    if changes.replayed and isinstance(before, Job) and isinstance(message, CancelJob):
        return before, implied_effects(before)
    return advance_checked(before, message, changes.now)


def _keep_job(changes: RecordChanges, before: Job | None, after: Job, message: Any, effects: Effects) -> None:
    if changes.replayed and after is before:
        effects = effects or implied_effects(after)
    if after is not before or changes.replayed:
        effects += changes.keep(before, after)
    changes.effects += effects
    if after is not before or changes.replayed:
        changes.changed[after.id] = after
    if type(message) is AttemptHeartbeat and not effects:  # one with effects came from an executor that lost its lease
        changes.heartbeats.append(message)


def _apply_to_queue(changes: RecordChanges, message: QueueCommand) -> None:
    if message.step not in step_kinds():
        raise Rejected("unknown-step", f"there is no step {message.step!r}")
    changes.require_partition(queue_key(message.step), f"the queue of {message.step}")
    before = changes.queue(message.step)
    if changes.replayed:  # a pause and its end may both be replayed: neither may take effect again
        changes.effects += queue_effects(before) if before is not None else []
        return
    after, effects = advance_queue(before, message, changes.now)
    changes.put_queue(after)
    changes.effects += effects


def _require_same_event(job: Job | DeletedJob, message: SubmitJob) -> None:
    """Reject an upload event that has the id of another one: its job would never exist. Rows remember the first one,
    also after a takeover and after the job's deletion.
    """
    reason = reused_event_id(job.body_hash, message.body_hash)
    if reason is not None:
        raise Rejected("id-reused", reason)


def _require_free_asset(changes: RecordChanges, message: SubmitJob) -> None:
    """Reject a job for another owner's asset, or one too many. Web checks this too; its read model may lag behind."""
    asset = changes.asset(message.asset_id)
    if asset is None:
        if is_foreign(message.asset_id, message.owner):  # its owner could never use the id again
            raise Rejected(
                "asset-of-another-owner", f"{message.asset_id} is an id of another owner than {message.owner}"
            )
        return
    if message.owner is not None and asset.owner != message.owner:
        raise Rejected("asset-of-another-owner", f"{message.asset_id} does not belong to {message.owner}")
    if len(asset.jobs) + len(changes.unlisted(asset.id) or ()) >= MAX_ASSET_JOBS:
        raise Rejected("too-many-jobs", f"{asset.id} has {MAX_ASSET_JOBS} jobs: delete some of them first")

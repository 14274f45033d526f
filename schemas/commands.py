"""Commands on `media.commands`, from web, the CLI and the uploads agent to control."""

from typing import Annotated, ClassVar

import msgspec

from schemas.base import Message
from schemas.jobs import Input, Priority, StepSpec


class SubmitJob(Message, frozen=True, kw_only=True):
    """Create a job, and its asset if that is new. A repeat with the same id changes nothing."""

    TYPE: ClassVar[str] = "media.job.submit.v1"

    job_id: str
    asset_id: str
    #: Name of the pipeline, for display.
    pipeline: str
    #: The pipeline resolved at submission.
    steps: tuple[StepSpec, ...]
    input: Input
    #: When it was submitted, seconds since the epoch.
    submitted_at: float
    priority: Priority = "normal"
    owner: str | None = None
    filename: str | None = None
    passthrough: str | None = None
    #: When the job is to start, seconds since the epoch; unset: at once.
    run_at: float | None = None
    body_hash: str | None = None


class CancelJob(Message, frozen=True, kw_only=True):
    """Cancel a job: waiting steps at once, active ones by revoking their lease."""

    TYPE: ClassVar[str] = "media.job.cancel.v1"

    job_id: str
    asset_id: str
    #: Caller, for the record.
    requested_by: str | None = None


class RetryJob(Message, frozen=True, kw_only=True):
    """Retry a job that failed, was cancelled, or completed without some steps, from the steps that did not complete."""

    TYPE: ClassVar[str] = "media.job.retry.v1"

    job_id: str
    asset_id: str
    #: The run to retry, so that a repeat of the command does not retry twice.
    run: int
    requested_by: str | None = None


class DeleteJob(Message, frozen=True, kw_only=True):
    """Delete an ended job. A repeat changes nothing; late messages do not restore the job."""

    TYPE: ClassVar[str] = "media.job.delete.v1"

    job_id: str
    asset_id: str
    #: Delete its published files too; retention deletes jobs only, and their asset stays playable.
    artifacts: bool = True
    requested_by: str | None = None


class DeleteAsset(Message, frozen=True, kw_only=True):
    """Delete an asset with its jobs and files, unless one of its jobs is active."""

    TYPE: ClassVar[str] = "media.asset.delete.v1"

    asset_id: str
    #: Time of the request by the caller's clock, seconds since the epoch, for the record: the log's time decides.
    requested_at: float
    requested_by: str | None = None


class PauseQueue(Message, frozen=True, kw_only=True):
    """Pause a step's queue: executors accept no new attempts; active ones continue. A repeat changes nothing."""

    TYPE: ClassVar[str] = "media.queue.pause.v1"

    step: str
    requested_by: str | None = None


class ResumeQueue(Message, frozen=True, kw_only=True):
    """Resume a step's queue. A repeat changes nothing."""

    TYPE: ClassVar[str] = "media.queue.resume.v1"

    step: str
    requested_by: str | None = None


class LimitQueue(Message, frozen=True, kw_only=True):
    """Limit the active attempts of a step, over all executors. A repeat changes nothing."""

    TYPE: ClassVar[str] = "media.queue.limit.v1"

    step: str
    #: Unset: any number.
    max_active: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    requested_by: str | None = None

"""Commands on `media.commands`: imperative, from web, CLI and the uploads agent to control."""

from typing import ClassVar

from schemas.base import Message
from schemas.jobs import Input, Priority, StepSpec


class SubmitJob(Message, frozen=True, kw_only=True):
    """Create the job, and its asset if that is new. A repeat with the same id changes nothing."""

    TYPE: ClassVar[str] = "media.job.submit.v1"

    job_id: str
    asset_id: str
    #: Name of the pipeline, for people.
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
    body_hash: str | None = None


class CancelJob(Message, frozen=True, kw_only=True):
    """End the job: waiting steps at once, active ones through a revoke."""

    TYPE: ClassVar[str] = "media.job.cancel.v1"

    job_id: str
    asset_id: str
    #: Who asked, for the record.
    requested_by: str | None = None


class RetryJob(Message, frozen=True, kw_only=True):
    """Resume a failed or cancelled job from the steps that did not complete."""

    TYPE: ClassVar[str] = "media.job.retry.v1"

    job_id: str
    asset_id: str
    #: The run that is to be retried: a repeat of the command must not retry twice.
    run: int
    requested_by: str | None = None


class DeleteJob(Message, frozen=True, kw_only=True):
    """Forget a job that has ended. A repeat changes nothing, and no late message brings the job back."""

    TYPE: ClassVar[str] = "media.job.delete.v1"

    job_id: str
    asset_id: str
    #: Whether what it published goes too; a retention forgets jobs and leaves their asset playable.
    artifacts: bool = True
    requested_by: str | None = None


class DeleteAsset(Message, frozen=True, kw_only=True):
    """Forget the asset, its jobs and its files, when none of its jobs runs."""

    TYPE: ClassVar[str] = "media.asset.delete.v1"

    asset_id: str
    #: When it was asked for by the asker's clock, seconds since the epoch, for the record: the log's time decides.
    requested_at: float
    requested_by: str | None = None


class PauseQueue(Message, frozen=True, kw_only=True):
    """Let executors take nothing more of this step until it is resumed; what runs goes on. A repeat changes nothing."""

    TYPE: ClassVar[str] = "media.queue.pause.v1"

    step: str
    requested_by: str | None = None


class ResumeQueue(Message, frozen=True, kw_only=True):
    """Let executors take from this step's queue again. A repeat changes nothing."""

    TYPE: ClassVar[str] = "media.queue.resume.v1"

    step: str
    requested_by: str | None = None

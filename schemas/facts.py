"""Public facts on `media.events`. Ids are deterministic: drop duplicate ids."""

from typing import ClassVar

from schemas.base import ErrorRecord, Json, Message, StepWarning
from schemas.jobs import Input


class JobFact(Message, frozen=True, kw_only=True):
    """Common fields of facts about a job."""

    job_id: str
    asset_id: str
    pipeline: str
    #: Number of the run, from 1; each retry of the job starts a run.
    run: int
    owner: str | None = None
    passthrough: str | None = None


class JobSubmitted(JobFact, frozen=True, kw_only=True):
    """A job was created."""

    TYPE: ClassVar[str] = "media.job.submitted.v1"

    input: Input
    filename: str | None = None


class JobCompleted(JobFact, frozen=True, kw_only=True):
    """Every step completed, was skipped, or failed and is optional."""

    TYPE: ClassVar[str] = "media.job.completed.v1"

    #: What is missing or damaged, and why; at most 32.
    warnings: tuple[StepWarning, ...] = ()


class JobFailed(JobFact, frozen=True, kw_only=True):
    """A step failed, and is not retried."""

    TYPE: ClassVar[str] = "media.job.failed.v1"

    error: ErrorRecord


class JobCancelled(JobFact, frozen=True, kw_only=True):
    """The job was cancelled, and all its work has stopped."""

    TYPE: ClassVar[str] = "media.job.cancelled.v1"


class JobDeleted(JobFact, frozen=True, kw_only=True):
    """The job was deleted."""

    TYPE: ClassVar[str] = "media.job.deleted.v1"


class StepFact(JobFact, frozen=True, kw_only=True):
    """Common fields of facts about a step."""

    step: str
    attempt: int


class StepStarted(StepFact, frozen=True, kw_only=True):
    """An executor accepted the attempt."""

    TYPE: ClassVar[str] = "media.step.started.v1"


class StepCompleted(StepFact, frozen=True, kw_only=True):
    """The step completed and its outputs are published."""

    TYPE: ClassVar[str] = "media.step.completed.v1"

    outputs: Json = {}


class StepFailed(StepFact, frozen=True, kw_only=True):
    """The step failed, and is not retried."""

    TYPE: ClassVar[str] = "media.step.failed.v1"

    error: ErrorRecord


class StepRetried(StepFact, frozen=True, kw_only=True):
    """An attempt failed or was lost, and is retried."""

    TYPE: ClassVar[str] = "media.step.retried.v1"

    error: ErrorRecord
    #: When the next attempt is due, seconds since the epoch.
    retry_at: float


class StepSkipped(StepFact, frozen=True, kw_only=True):
    """The step was skipped."""

    TYPE: ClassVar[str] = "media.step.skipped.v1"

    reason: str


class AssetReady(Message, frozen=True, kw_only=True):
    """The asset can be played."""

    TYPE: ClassVar[str] = "media.asset.ready.v1"

    asset_id: str
    job_id: str
    #: The run of the job that completed.
    run: int
    owner: str | None = None
    #: Published outputs per step.
    outputs: dict[str, Json] = {}
    #: What is missing or damaged, and why, over all jobs; at most 32.
    warnings: tuple[StepWarning, ...] = ()


class AssetFailed(Message, frozen=True, kw_only=True):
    """The asset's first job failed or was cancelled."""

    TYPE: ClassVar[str] = "media.asset.failed.v1"

    asset_id: str
    job_id: str
    #: The run of the job that ended.
    run: int
    #: An error code, or "cancelled".
    reason: str
    owner: str | None = None


class AssetDeleted(Message, frozen=True, kw_only=True):
    """The asset was deleted, with everything derived from it."""

    TYPE: ClassVar[str] = "media.asset.deleted.v1"

    asset_id: str
    #: When, seconds since the epoch.
    deleted_at: float
    owner: str | None = None


class DeadLetter(Message, frozen=True, kw_only=True):
    """A record, or an event in one, that could not be processed."""

    TYPE: ClassVar[str] = "media.dead-letter.v1"

    #: Source topic.
    topic: str
    partition: int
    offset: int
    #: Process that rejected it.
    found_by: str
    error: ErrorRecord
    #: The bytes, base64; at most 64 KiB of them.
    value_base64: str | None = None
    #: Its Kafka key as text, where it is text.
    message_key: str | None = None

"""Types of responses and live frames: jobs, assets, queues. JSON, OpenAPI and AsyncAPI are generated from them.

A field of type `… | UnsetType` is absent when it has no value; any other is always present.
"""

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from schemas.base import StepWarning
from schemas.jobs import AssetStatus, Input, JobStatus, Priority, StepStatus
from schemas.queues import BlockedReason
from web.http.problems import ProblemView

T = TypeVar("T")
#: Why a step waits for an executor; "queued": for its turn.
WaitingReason = Literal["paused", "no_executor", "capped", "owner_cap", "queued"]
#: ISO 8601 in UTC with milliseconds.
Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class View(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of all views. Times are ISO 8601 in UTC with milliseconds."""


class Answer(View, Generic[T], frozen=True, kw_only=True):
    """The requested resource, or the result of a write."""

    data: T
    #: After a write: pass it as `after` to a GET that must see the write.
    cursor: str | UnsetType = UNSET


class Page(View, Generic[T], frozen=True, kw_only=True):
    """A page of a list."""

    data: list[T]
    #: Pass it as `cursor` to get the next page; null on the last.
    next_cursor: str | None


class ErrorView(View, frozen=True, kw_only=True):
    """The reason why a job or a step failed."""

    #: Stable error code, e.g. "unsupported-media".
    code: str
    #: One sentence for end users.
    message: str
    #: Whether a retry may succeed.
    retriable: bool
    #: Details for engineers.
    detail: str | UnsetType = UNSET


class StepView(View, frozen=True, kw_only=True):
    """A step of a job."""

    name: str
    status: StepStatus
    #: 0-100; never decreases within a run.
    progress: float
    #: Current attempt within the run, from 1; 0 before the first.
    attempt: int
    #: Maximum number of attempts.
    attempts: int
    started_at: Time | None
    finished_at: Time | None
    error: ErrorView | UnsetType = UNSET
    #: Results of the step; files are given as keys in the store.
    outputs: dict[str, Any] | UnsetType = UNSET
    #: Time of the next attempt of a delayed step.
    retry_at: Time | UnsetType = UNSET
    #: Why the step was skipped.
    reason: str | UnsetType = UNSET
    #: True when the job completes even if this step fails.
    optional: bool | UnsetType = UNSET
    #: Progress of a running step by part, e.g. by rendition, 0-100.
    parts: dict[str, float] | UnsetType = UNSET
    #: Turn that the step gets among those that wait for the same executors, from 1; absent beyond the first 500.
    queue_position: int | UnsetType = UNSET
    #: Why the step waits, while it waits for an executor: its queue is paused, no executor offers the step, as many of
    #: it or of its owner's are active as may be, or others go first.
    waiting_reason: WaitingReason | UnsetType = UNSET
    #: True while the step waits in a paused queue; absent otherwise.
    paused: bool | UnsetType = UNSET
    #: True while the step waits and no executor offers it; absent otherwise.
    no_executor: bool | UnsetType = UNSET
    #: Estimated seconds until the step is done: the wait for an executor, and past durations. Absent without history,
    #: and while the step cannot start.
    eta_s: float | UnsetType = UNSET


class JobView(View, frozen=True, kw_only=True):
    """One run of a pipeline on one asset."""

    id: str
    asset_id: str
    #: Where its media is: exactly one of `object`, `url` and `path`.
    input: Input
    pipeline: str
    status: JobStatus
    #: 0-100, the weighted mean of the steps.
    progress: float
    #: Name of the current step; null once the job has ended.
    current_step: str | None
    #: Number of the run, from 1; a retry starts the next one.
    run: int
    created_at: Time
    updated_at: Time
    started_at: Time | None
    finished_at: Time | None
    error: ErrorView | UnsetType = UNSET
    #: What is missing or damaged so far, and why; at most 32. The job can complete in spite of it.
    warnings: list[StepWarning]
    #: Free text given with the submission.
    passthrough: str | UnsetType = UNSET
    filename: str | UnsetType = UNSET
    owner: str | UnsetType = UNSET
    #: Priority in queues; absent when it is normal.
    priority: Priority | UnsetType = UNSET
    #: When the job is to start, if it was submitted for later; past once it has started.
    run_at: Time | UnsetType = UNSET
    #: True from a cancel until the running steps have ended.
    cancelling: bool | UnsetType = UNSET
    #: Estimated seconds until the job is done: past durations of its steps, and the wait of those that are queued. Null
    #: without history, and while a remaining step cannot start.
    eta_s: float | None
    #: Seconds from the start of the first step to the end, once the job has ended.
    duration_s: float | UnsetType = UNSET
    steps: list[StepView]


class AssetJobView(View, frozen=True, kw_only=True):
    """A job as listed in its asset."""

    id: str
    status: JobStatus
    pipeline: str
    created_at: Time


class AssetView(View, frozen=True, kw_only=True):
    """A media item and its outputs."""

    id: str
    status: AssetStatus
    filename: str | None
    created_at: Time
    updated_at: Time
    #: Why the asset failed: an error code, or "cancelled".
    reason: str | UnsetType = UNSET
    passthrough: str | UnsetType = UNSET
    owner: str | UnsetType = UNSET
    #: The newest 50 jobs in order of submission; `GET /v1/jobs?asset_id=` lists all.
    jobs: list[AssetJobView]
    #: Latest published outputs by step.
    outputs: dict[str, Any]
    #: What is missing or damaged, and why, by the newest outcome of each step; at most 32.
    warnings: list[StepWarning]
    #: URL of the master playlist, to be requested with a token; null before there is one.
    master_url: str | None
    poster_url: str | None


class Playback(View, frozen=True, kw_only=True):
    """Signed URLs for players that send no token."""

    status: AssetStatus
    #: Prefix of the URLs of all files of the asset.
    base_url: str
    master_url: str | None
    poster_url: str | None
    #: WebVTT whose cues are parts of pictures, `IMAGE#xywh=x,y,w,h`: what a player shows over its timeline.
    storyboard_url: str | None
    #: URLs of WebVTT captions.
    captions: list[str]
    expires_at: Time


class Submitted(View, frozen=True, kw_only=True):
    """Ids of a submission."""

    asset_id: str
    job_id: str


class EventView(View, frozen=True, kw_only=True):
    """An event of a job, as recorded on the log."""

    #: Deterministic: a repeated event has the same id.
    id: str
    #: E.g. "media.step.completed.v1".
    type: str
    time: str
    #: Number of the job's run, from 1.
    run: int
    step: str | UnsetType = UNSET
    attempt: int | UnsetType = UNSET
    #: Seconds since the attempt started.
    elapsed_s: float | UnsetType = UNSET
    error: ErrorView | UnsetType = UNSET
    #: Time of the next attempt.
    retry_at: str | UnsetType = UNSET
    #: Why the step was skipped.
    reason: str | UnsetType = UNSET


class Timeline(View, frozen=True, kw_only=True):
    """The events of a job."""

    data: list[EventView]
    #: True when earlier events are not kept: topic retention has removed them, or they are more than 1,000.
    incomplete: bool | UnsetType = UNSET


class Affected(View, frozen=True, kw_only=True):
    """Number of jobs that a command was sent to."""

    count: int


class JobCounts(View, frozen=True, kw_only=True):
    """Number of jobs by status, zeros included."""

    jobs: dict[str, int]


class FailureView(View, frozen=True, kw_only=True):
    """Failed jobs with the same error code."""

    #: Error code, as of `error_code` of the list.
    code: str
    #: Number of jobs.
    jobs: int
    #: Message of the newest of them.
    message: str
    #: Id of the newest of them.
    job_id: str
    #: Time at which the newest of them was created.
    created_at: Time


class QueueChange(View, frozen=True, kw_only=True):
    """State of a queue after a pause or resume."""

    #: Name of the step.
    name: str
    paused: bool


class QueueLimit(View, frozen=True, kw_only=True):
    """The limit of a queue after a change."""

    #: Name of the step.
    name: str
    max_active: int | None


class DeletedAsset(View, frozen=True, kw_only=True):
    """An asset whose deletion was accepted."""

    asset_id: str


class Stats(View, frozen=True, kw_only=True):
    """Counts of jobs, steps and assets at one moment, zeros included."""

    #: Jobs by status.
    jobs: dict[str, int]
    #: Jobs by pipeline.
    pipelines: dict[str, int]
    #: Jobs by pipeline and status.
    pipeline_status: dict[str, dict[str, int]]
    #: Steps of jobs by name and status; a step that waits for an executor counts as waiting and as queued.
    steps: dict[str, dict[str, int]]
    #: Assets by status.
    assets: dict[str, int]
    #: The requested moment, if any.
    as_of: str | UnsetType = UNSET


class PipelineView(View, frozen=True, kw_only=True):
    """A pipeline that a submission may name."""

    name: str
    #: Whether it runs when a submission names none.
    default: bool
    #: Names of its steps.
    steps: list[str]


class QueueView(View, frozen=True, kw_only=True):
    """The queue of a step, with the number of the caller's jobs by status of the step."""

    #: Name of the step.
    name: str
    #: Whether the queue is paused: executors take nothing until it is resumed.
    paused: bool
    #: Time of the pause.
    paused_at: str | UnsetType = UNSET
    #: Maximum number of active attempts over all executors; null: any number.
    max_active: int | None = None
    #: Number of executors that run the step. 0: jobs wait until one is started. Absent while unknown.
    executors: int | UnsetType = UNSET
    #: Attempts that they run at a time.
    slots: int | UnsetType = UNSET
    #: Why nothing of the queue starts although jobs wait: "paused", "no_executor" or "capped"; empty when it does.
    reason: BlockedReason = ""
    #: Waiting for other steps or for an executor.
    waiting: int
    #: Waiting for an executor.
    queued: int
    active: int
    delayed: int
    completed: int
    failed: int
    cancelled: int
    skipped: int


class StepHistoryView(View, frozen=True, kw_only=True):
    """Ended attempts of a step in each minute of the last hour, the current minute last."""

    name: str
    completed: list[int]
    failed: list[int]
    #: Median duration of those that completed, seconds; null for none.
    p50_s: list[float | None]
    p95_s: list[float | None]
    #: The same over the hour, from a sample.
    hour_p50_s: float | None
    hour_p95_s: float | None


class ControlView(View, frozen=True, kw_only=True):
    """How far control is behind the commands, uploads and step events on the log."""

    #: Records that it has yet to apply.
    behind_records: int
    #: Seconds for which the oldest of them has been on the log.
    behind_s: float
    #: Why control is not working; empty when it is.
    troubles: list[str]


class DiskView(View, frozen=True, kw_only=True):
    """A disk of the machine of this replica."""

    #: What is on it: log, media, uploads (resumable ones that are not complete).
    keeps: list[str]
    size_bytes: int
    free_bytes: int
    #: Free space that media may not use.
    reserve_bytes: int
    #: Whether only that is free: uploads are refused with 507.
    below_reserve: bool


class SystemView(View, frozen=True, kw_only=True):
    """What an operator watches besides the queues."""

    control: ControlView
    disks: list[DiskView]


class DeadLetterView(View, frozen=True, kw_only=True):
    """A record of the log that could not be processed."""

    time: Time
    #: Where it is on the log.
    topic: str
    partition: int
    offset: int
    #: Process that rejected it.
    found_by: str
    #: Why.
    code: str
    message: str
    key: str | None
    #: Its first characters; bytes that are no text are replaced.
    preview: str
    #: Its bytes, base64; at most 64 KiB of them.
    value_base64: str | None


class AuditView(View, frozen=True, kw_only=True):
    """An entry of the audit."""

    time: Time
    #: Method and route, or "open" of a chain.
    action: str
    #: Path of the request.
    subject: str | None
    result: Literal["done", "refused", "failed"]
    #: HTTP status of the response.
    status: int | None
    #: Problem code of an error.
    code: str | None
    owner: str | None
    role: str | None
    #: Id of the token, never the token.
    token_id: str | None
    #: IP address of the client.
    remote: str | None


ExecutorStatus = Literal["active", "draining", "silent", "gone"]


class ExecutorAttempt(View, frozen=True, kw_only=True):
    """An attempt that an executor has accepted and not yet ended."""

    job_id: str
    step: str
    attempt: int


class ExecutorView(View, frozen=True, kw_only=True):
    """An executor by its latest report."""

    id: str
    #: Its steps are those of this lane.
    lane: str
    #: Version of the program; `outdated` if web has another one.
    version: str
    outdated: bool
    #: "active", "draining" (it stops and takes nothing more) or "silent" (its reports are missing); in live frames also
    #: "gone" (they have been missing for a minute).
    status: ExecutorStatus
    reported_at: str
    #: Attempts of each step that it runs at a time.
    slots: dict[str, int]
    #: Number of attempts of each step that it has accepted; those of steps that take no time are not counted.
    active: dict[str, int]
    #: Those of jobs that the caller may see, at most 256.
    attempts: list[ExecutorAttempt]
    #: CPUs that heavy steps share.
    cpus: int
    #: Isolation of ffmpeg: "bubblewrap", "namespaces", or "bounds" (it runs without a sandbox); null: it runs no such
    #: step, or has an earlier version.
    sandbox: str | None


class SubmittedItem(View, frozen=True, kw_only=True):
    """Result for one item of a list: its ids and status 202, or an error with its status."""

    status: int
    asset_id: str | UnsetType = UNSET
    job_id: str | UnsetType = UNSET
    error: ProblemView | UnsetType = UNSET


class Health(View, frozen=True, kw_only=True):
    """State of the process."""

    #: Always "ok"; otherwise the response is a problem.
    status: str = "ok"


class SnapshotFrame(View, frozen=True, kw_only=True, tag_field="type", tag="snapshot"):
    """The first frames of a live connection: all subscribed jobs at one moment, in frames of less than 512 KiB."""

    #: Cursor to resume from; only in the last frame of the snapshot.
    cursor: str | UnsetType = UNSET
    jobs: list[JobView]
    #: Number of this frame within the snapshot, from 1: the first one replaces whatever the client has.
    part: int
    #: Whether the snapshot is complete with this frame.
    last: bool
    #: True when there are further jobs; list them page by page.
    more: bool | UnsetType = UNSET


class JobFrame(View, frozen=True, kw_only=True, tag_field="type", tag="job"):
    """A new or changed job."""

    cursor: str
    job: JobView


class DeletedFrame(View, frozen=True, kw_only=True, tag_field="type", tag="deleted"):
    """A deleted job."""

    cursor: str
    job_id: str
    asset_id: str


class ProgressFrame(View, frozen=True, kw_only=True, tag_field="type", tag="progress"):
    """Progress of a running step; a later frame supersedes it."""

    job_id: str
    asset_id: str
    step: str
    #: Progress of the step, 0-100.
    progress: float
    #: Progress of the job, 0-100.
    job_progress: float
    #: Estimated seconds until the step is done, based on its past durations; null without history.
    eta_s: float | None
    #: Progress by part of the step, e.g. by rendition, 0-100.
    parts: dict[str, float] | UnsetType = UNSET


class QueueFrame(View, frozen=True, kw_only=True, tag_field="type", tag="queue"):
    """New positions of jobs in a step's queue, or a pause or resume of it."""

    #: Name of the step.
    step: str
    #: Whether the queue is paused. Applies to every job that waits in it, in `positions` or not.
    paused: bool
    #: Why nothing of the queue starts, for every job that waits in it; empty when it does.
    reason: BlockedReason = ""
    #: Queue position by job id, from 1; only the first jobs of the subscription.
    positions: dict[str, int]
    #: Estimated seconds until the step is done, by job id, of the jobs in `positions` that can start.
    eta_s: dict[str, float] = {}


class ExecutorFrame(View, frozen=True, kw_only=True, tag_field="type", tag="executor"):
    """A new or changed executor, for subscribers of `executors`; a later frame supersedes it."""

    executor: ExecutorView


class CaptionFrame(View, frozen=True, kw_only=True, tag_field="type", tag="caption"):
    """A live caption of a running transcription; the published captions replace it."""

    job_id: str
    asset_id: str
    #: Number within the transcript, from 0.
    id: int
    start_ms: int
    end_ms: int
    text: str
    #: Language, ISO 639-1; null while unknown.
    language: str | None


class PongFrame(View, frozen=True, kw_only=True, tag_field="type", tag="pong"):
    """The response to any text message of the client: browsers do not show it the server's pings."""


LiveFrame = (
    SnapshotFrame | JobFrame | DeletedFrame | ProgressFrame | QueueFrame | ExecutorFrame | CaptionFrame | PongFrame
)


#: How a passage was found: it has words of the search, or is about the same.
Match = Literal["words", "meaning"]


class FoundPassage(View, frozen=True, kw_only=True):
    """A passage of a transcript that matches the search."""

    asset_id: str
    #: The job that transcribed it.
    job_id: str | None
    filename: str | None
    start_ms: int
    end_ms: int
    text: str
    #: The text as HTML, with matches in <mark>.
    highlight: str
    #: Higher is better; comparable within one response only.
    score: float
    matched_by: list[Match]


class Found(View, frozen=True, kw_only=True):
    """Results of a search, best first."""

    data: list[FoundPassage]
    #: Search mode that was used: text, vector or hybrid.
    mode: str
    #: Reasons why parts of the search were left out.
    left_out: list[str] | UnsetType = UNSET

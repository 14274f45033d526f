"""What clients see, as types: answers, jobs, assets, live frames. The JSON, OpenAPI and AsyncAPI are made from them.

A field of type `… | UnsetType` is left out when there is nothing to say; any other is always there.
"""

from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from schemas.jobs import AssetStatus, JobStatus, Priority, StepStatus
from web.http.problems import ProblemView

T = TypeVar("T")
#: ISO 8601 in UTC with milliseconds.
Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything that is shown. Times are ISO 8601 in UTC with milliseconds."""


class Answer(View, Generic[T], frozen=True, kw_only=True):
    """What was asked for, or what came of a write."""

    data: T
    #: Of a write: give it as `after` to a GET that must see the write.
    cursor: str | UnsetType = UNSET


class Page(View, Generic[T], frozen=True, kw_only=True):
    """A page of a list."""

    data: list[T]
    #: Give it as `cursor` for the next page; null on the last.
    next_cursor: str | None


class ErrorView(View, frozen=True, kw_only=True):
    """Why a job or a step failed."""

    #: Stable, e.g. "unsupported-media".
    code: str
    #: One sentence that a user understands.
    message: str
    #: Whether the same may succeed later.
    retriable: bool
    #: Further facts for an engineer.
    detail: str | UnsetType = UNSET


class StepView(View, frozen=True, kw_only=True):
    """A step of a job."""

    name: str
    status: StepStatus
    #: 0-100, never falling within a run.
    progress: float
    #: Current try within the run, from 1; 0 before the first.
    attempt: int
    #: Tries in all.
    attempts: int
    started_at: Time | None
    finished_at: Time | None
    error: ErrorView | UnsetType = UNSET
    #: What it produced; file values are keys in the store.
    outputs: dict[str, Any] | UnsetType = UNSET
    #: When a delayed step is tried again.
    retry_at: Time | UnsetType = UNSET
    #: Why it was skipped.
    reason: str | UnsetType = UNSET
    #: The job completes without it, should it fail for good.
    optional: bool | UnsetType = UNSET
    #: 0-100, by part of a running step, e.g. by rendition.
    parts: dict[str, float] | UnsetType = UNSET
    #: While it waits for an executor: its place among all requests for this step, from 1.
    queue_position: int | UnsetType = UNSET
    #: True while it waits for an executor in a paused queue; absent otherwise.
    paused: bool | UnsetType = UNSET
    #: Seconds that it will still take, from how long the same step took before; absent without history, and
    #: before it has started while its queue is paused.
    eta_s: float | UnsetType = UNSET


class JobView(View, frozen=True, kw_only=True):
    """One run of a pipeline on one asset."""

    id: str
    asset_id: str
    pipeline: str
    status: JobStatus
    #: 0-100, the weighted sum of the steps'.
    progress: float
    #: What it is at; null when it has ended.
    current_step: str | None
    #: Counts resumes, from 1.
    run: int
    created_at: Time
    updated_at: Time
    started_at: Time | None
    finished_at: Time | None
    error: ErrorView | UnsetType = UNSET
    #: The submitter's own text.
    passthrough: str | UnsetType = UNSET
    filename: str | UnsetType = UNSET
    owner: str | UnsetType = UNSET
    #: Where its requests stand among others; absent when it is normal.
    priority: Priority | UnsetType = UNSET
    #: True while a cancel waits for running steps to end.
    cancelling: bool | UnsetType = UNSET
    #: Seconds of work until it is done, from how long the same steps took before; null without history, and while the
    #: queue of a step to come is paused.
    eta_s: float | None
    #: Seconds from the first step's start to the end, once it has ended.
    duration_s: float | UnsetType = UNSET
    steps: list[StepView]


class AssetJobView(View, frozen=True, kw_only=True):
    """A job in its asset's list."""

    id: str
    status: JobStatus
    pipeline: str
    created_at: Time


class AssetView(View, frozen=True, kw_only=True):
    """One piece of media and what came of it."""

    id: str
    status: AssetStatus
    filename: str | None
    created_at: Time
    updated_at: Time
    #: Why it failed: an error code, or "cancelled".
    reason: str | UnsetType = UNSET
    passthrough: str | UnsetType = UNSET
    owner: str | UnsetType = UNSET
    #: The newest 50 in the order in which they were submitted; `GET /v1/jobs?asset_id=` has all.
    jobs: list[AssetJobView]
    #: The newest published outputs per step.
    outputs: dict[str, Any]
    #: Where it can be played with a token; null where there is nothing yet.
    master_url: str | None
    poster_url: str | None


class Playback(View, frozen=True, kw_only=True):
    """Signed addresses that a plain player can use."""

    status: AssetStatus
    #: Start of every address of the asset's files.
    base_url: str
    master_url: str | None
    poster_url: str | None
    #: WebVTT files.
    captions: list[str]
    expires_at: Time


class Submitted(View, frozen=True, kw_only=True):
    """A submission's ids."""

    asset_id: str
    job_id: str


class EventView(View, frozen=True, kw_only=True):
    """A fact about a job, as it stands on the log."""

    #: Deterministic: the same fact has the same id, however often it is said.
    id: str
    #: E.g. "media.step.completed.v1".
    type: str
    time: str
    #: Counts resumes of the job, from 1.
    run: int
    step: str | UnsetType = UNSET
    attempt: int | UnsetType = UNSET
    #: Seconds since that attempt began.
    elapsed_s: float | UnsetType = UNSET
    error: ErrorView | UnsetType = UNSET
    #: When the next attempt is due.
    retry_at: str | UnsetType = UNSET
    #: Why the step was skipped.
    reason: str | UnsetType = UNSET


class Affected(View, frozen=True, kw_only=True):
    """How many jobs a command went to."""

    count: int


class QueueChange(View, frozen=True, kw_only=True):
    """What a queue will be."""

    #: The step.
    name: str
    paused: bool


class DeletedAsset(View, frozen=True, kw_only=True):
    """An asset whose deletion was accepted."""

    asset_id: str


class Stats(View, frozen=True, kw_only=True):
    """Counts at one moment, zeros included."""

    #: Jobs by status.
    jobs: dict[str, int]
    #: Jobs by pipeline.
    pipelines: dict[str, int]
    #: Jobs by pipeline and status.
    pipeline_status: dict[str, dict[str, int]]
    #: Steps of jobs by name and status; one that waits for an executor is counted as queued beside.
    steps: dict[str, dict[str, int]]
    #: Assets by status.
    assets: dict[str, int]
    #: The moment that was asked for, when one was.
    as_of: str | UnsetType = UNSET


class QueueView(View, frozen=True, kw_only=True):
    """A step's queue: how many of the caller's jobs have the step in each state."""

    #: The step.
    name: str
    #: Whether executors take nothing from it until it is resumed.
    paused: bool
    #: Since when.
    paused_at: str | UnsetType = UNSET
    #: Executors that take from it, of all owners. 0: its jobs wait until one is started that has the step. Absent while
    #: that is not known.
    executors: int | UnsetType = UNSET
    #: Waits for other steps, or for an executor.
    waiting: int
    #: Waits for an executor.
    queued: int
    active: int
    delayed: int
    completed: int
    failed: int
    cancelled: int
    skipped: int


class SubmittedItem(View, frozen=True, kw_only=True):
    """What came of one item of a list: its ids and 202, or its error and that status."""

    status: int
    asset_id: str | UnsetType = UNSET
    job_id: str | UnsetType = UNSET
    error: ProblemView | UnsetType = UNSET


class Health(View, frozen=True, kw_only=True):
    """How the process is."""

    #: Always "ok": otherwise the answer is a problem.
    status: str = "ok"


class SnapshotFrame(View, frozen=True, kw_only=True, tag_field="type", tag="snapshot"):
    """The first frame of a live connection: everything at one moment."""

    #: Resume here.
    cursor: str
    jobs: list[JobView]
    #: True: there are further jobs, to be had page by page.
    more: bool | UnsetType = UNSET


class JobFrame(View, frozen=True, kw_only=True, tag_field="type", tag="job"):
    """A job as it is now."""

    cursor: str
    job: JobView


class DeletedFrame(View, frozen=True, kw_only=True, tag_field="type", tag="deleted"):
    """A job is gone."""

    cursor: str
    job_id: str
    asset_id: str


class ProgressFrame(View, frozen=True, kw_only=True, tag_field="type", tag="progress"):
    """How far a running step is; a later one supersedes it."""

    job_id: str
    asset_id: str
    step: str
    #: 0-100, of the step.
    progress: float
    #: 0-100, of the job.
    job_progress: float
    #: Seconds until the step is done, from how long the same step took before; null without history.
    eta_s: float | None
    #: 0-100, by part of the step, e.g. by rendition.
    parts: dict[str, float] | UnsetType = UNSET


class QueueFrame(View, frozen=True, kw_only=True, tag_field="type", tag="queue"):
    """Jobs that wait for an executor have moved up or down, or their queue was paused or resumed."""

    #: What they wait for.
    step: str
    #: Whether the queue is paused; true for every job that waits in it, in `positions` or not.
    paused: bool
    #: Place among all requests for the step, from 1, by job; of the jobs that are followed, those that come first.
    positions: dict[str, int]


class CaptionFrame(View, frozen=True, kw_only=True, tag_field="type", tag="caption"):
    """What was just heard in the speech of a job's asset; the captions that are published replace it."""

    job_id: str
    asset_id: str
    #: Place in the transcript, from 0.
    id: int
    start_ms: int
    end_ms: int
    text: str
    #: ISO 639-1, as far as it is known.
    language: str | None


LiveFrame = SnapshotFrame | JobFrame | DeletedFrame | ProgressFrame | QueueFrame | CaptionFrame


class FoundPassage(View, frozen=True, kw_only=True):
    """A passage of what was said."""

    asset_id: str
    #: The job that transcribed it.
    job_id: str | None
    filename: str | None
    start_ms: int
    end_ms: int
    text: str
    #: The text as HTML, what matches within <mark>.
    highlight: str
    #: Higher is better; comparable within one answer only.
    score: float


class Found(View, frozen=True, kw_only=True):
    """What a search found, the best first."""

    data: list[FoundPassage]
    #: What was searched in the end: text, vector or hybrid.
    mode: str
    #: Why a part of the search was left out.
    left_out: list[str] | UnsetType = UNSET

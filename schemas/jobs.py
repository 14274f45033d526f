"""Rows of the changelog-backed tables: the job, its steps, and the asset. Times are seconds since the epoch, UTC."""

from typing import Any, Literal

import msgspec

from schemas.base import ErrorRecord, Json

JobStatus = Literal["waiting", "active", "completed", "failed", "cancelled"]
StepStatus = Literal["waiting", "active", "delayed", "completed", "failed", "cancelled", "skipped"]
AssetStatus = Literal["UPLOADED", "PROCESSING", "READY", "FAILED", "PENDING", "DOWNLOADING", "CACHED"]
#: Pipeline whose assets are cached remote media, with their own status values.
CACHE_PIPELINE = "cache"

#: Order of waiting requests for one step.
Priority = Literal["high", "normal", "low"]

#: Highest first.
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")
JOB_ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled"})
STEP_ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled", "skipped"})
STEP_PASSED: frozenset[str] = frozenset({"completed", "skipped"})


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """When a failed step is retried."""

    #: Maximum tries, >= 1; retries = attempts - 1.
    attempts: int = 3
    #: How the delay grows from one failure to the next.
    backoff: Literal["fixed", "exponential"] = "exponential"
    #: Seconds before the first retry.
    delay_s: float = 2.0
    #: Growth of an exponential delay, per failure.
    factor: float = 2.0
    #: Longest delay, seconds.
    max_s: float = 300.0
    #: Random spread of the delay, 0-1: 0.1 means +-10 %.
    jitter: float = 0.1


class StepSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One node of a pipeline, resolved when the job is submitted."""

    #: Step name: one word, the same in every folder.
    name: str
    #: Names of the steps that must have completed or been skipped before this one.
    after: tuple[str, ...] = ()
    #: Those whose outputs it requires: if one is skipped, this step is skipped too.
    needs: tuple[str, ...] = ()
    #: The job can complete without it: if it fails, only the steps that need it are skipped, and the job has a warning.
    optional: bool = False
    #: Parameters of the step; their schema is schemas/<name>.py.
    params: Json = {}
    #: When a failure is retried.
    retry: RetryPolicy = RetryPolicy()
    #: Share of the job's progress, relative to the other steps.
    weight: float = 1.0
    #: Many requests may share one record: the step takes no time.
    instant: bool = False


class Input(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Location of the source media: exactly one of the three."""

    #: Key relative to the store's root.
    object: str | None = None
    #: http(s) URL; its query and userinfo are left out of rows and facts.
    url: str | None = None
    #: Where the full URL is, if `url` is only its public part: offset on `media.source-urls`, in the asset's partition.
    #: Set by the service.
    url_offset: int | None = None
    #: Local file below one of the configured roots.
    path: str | None = None


class Lease(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An executor's claim on one attempt."""

    id: str
    #: The executor that holds it.
    executor_id: str
    #: When control granted it.
    accepted_at: float
    #: Session of the executor, fresh at each start of its process; empty: unknown.
    session_id: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A step of a job: its specification and state."""

    spec: StepSpec
    status: StepStatus = "waiting"
    #: The job's run in which this step was last requested, from 1.
    run: int = 1
    #: Current try within the run, from 1; 0 before the first request.
    attempt: int = 0
    #: Tries that failed in this run.
    failures: int = 0
    #: Tries that were lost with their executor in this run.
    losses: int = 0
    #: Tries in this run that found a remote endpoint asleep.
    asleep: int = 0
    #: When the current attempt was last requested; unset while none is.
    requested_at: float | None = None
    #: How often the current attempt was requested.
    dispatches: int = 0
    #: Lease of the current attempt; kept after completion to recognise repeated events.
    lease: Lease | None = None
    #: When a delayed retry is due.
    due_at: float | None = None
    #: First acceptance in this run.
    started_at: float | None = None
    finished_at: float | None = None
    #: 0-1, the highest value at the last change of this row.
    progress: float = 0.0
    #: Error of the last failed attempt.
    error: ErrorRecord | None = None
    #: Outputs of the step; files are store keys.
    outputs: Json | None = None
    #: Reason for skipping it, e.g. "no-audio-track".
    reason: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One run of a pipeline on one asset. Row of the table `jobs`, keyed by id."""

    id: str
    asset_id: str
    #: Name of the pipeline; its steps are resolved in `steps`.
    pipeline: str
    status: JobStatus
    #: In topological order.
    steps: tuple[Step, ...]
    input: Input
    created_at: float
    updated_at: float
    #: Number of the run, from 1; each retry of the job adds 1.
    run: int = 1
    #: Whether an earlier run completed: its results stay published while the steps that it lacks are tried again.
    has_completed: bool = False
    #: Priority of its steps' requests.
    priority: Priority = "normal"
    owner: str | None = None
    filename: str | None = None
    #: Opaque text of the submitter, returned unchanged.
    passthrough: str | None = None
    #: Its first run starts then, not before; unset: at once.
    run_at: float | None = None
    #: First acceptance of a step.
    started_at: float | None = None
    finished_at: float | None = None
    #: Cancelling was requested, and active steps have not stopped yet.
    cancelling: bool = False
    error: ErrorRecord | None = None
    #: Control refused the submission, `error` says why: it has no steps, and its asset does not list it.
    refused: bool = False
    #: sha256 of the submission's body, to distinguish a repeat from a conflict.
    body_hash: str | None = None
    #: Highest applied offset per source topic, of the row's partition.
    at: dict[str, int] = {}


class DeletedJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A deleted job, so that late messages do not restore it. Row with key `!<job id>`."""

    id: str
    asset_id: str
    pipeline: str
    run: int
    deleted_at: float
    owner: str | None = None
    #: Folders of its published files, to be deleted.
    prefixes: tuple[str, ...] = ()
    #: Whether it has a URL on `media.source-urls`, to be deleted.
    has_source_url: bool = False
    #: As in Job: another upload event with the same id is recognised.
    body_hash: str | None = None
    #: As in Job.
    at: dict[str, int] = {}


class Queue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """State of a step's queue, once it was paused, resumed or limited. Row with key `~<step>`."""

    step: str
    #: No attempts are given to executors.
    paused: bool
    #: Time of the last pause or resumption; of the first change where there was none.
    changed_at: float
    #: Caller of that change.
    changed_by: str | None = None
    #: Maximum number of active attempts over all executors; unset: any number.
    max_active: int | None = None
    #: As in Job; its partition is that of `queue:<step>`.
    at: dict[str, int] = {}


class AssetJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Summary of one job of an asset."""

    status: JobStatus
    pipeline: str
    created_at: float
    #: Reason for failing: an error code, or "cancelled".
    reason: str | None = None
    #: As in Job.
    has_completed: bool = False


class MissingStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A step without whose outputs a job of the asset completed."""

    job_id: str
    #: Why, as in StepWarning.
    code: str
    message: str
    #: When the step ended.
    at: float


class Asset(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One piece of media and everything derived from it. Row of the table `assets`, keyed by id."""

    id: str
    status: AssetStatus
    input: Input
    created_at: float
    updated_at: float
    owner: str | None = None
    filename: str | None = None
    passthrough: str | None = None
    #: Reason for failing: an error code, or "cancelled".
    reason: str | None = None
    #: Its newest jobs, at most 50, by job id; the table `jobs` has all.
    jobs: dict[str, AssetJob] = {}
    #: The newest published outputs per step, over all jobs.
    outputs: dict[str, Any] = {}
    #: Time of publication, by step.
    published_at: dict[str, float] = {}
    #: By step, the newest failure that a completed job tolerated; outputs that are published later supersede it.
    missing: dict[str, MissingStep] = {}
    #: A completed job was deleted but its files were kept, so the asset stays READY.
    kept: bool = False
    #: As in Job.
    at: dict[str, int] = {}


class Watermark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Applied offsets of a partition, also where no row changed. Row with key `@<partition>`; scans skip it."""

    at: dict[str, int]
    #: Topics whose last records the log has lost: larger offsets in earlier rows are void.
    lost: tuple[str, ...] = ()

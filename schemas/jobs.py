"""Rows of the changelog-backed tables: the job, its steps, and the asset. Times are seconds since the epoch, UTC."""

from typing import Any, Literal

import msgspec

from schemas.base import ErrorRecord, Json

JobStatus = Literal["waiting", "active", "completed", "failed", "cancelled"]
StepStatus = Literal["waiting", "active", "delayed", "completed", "failed", "cancelled", "skipped"]
AssetStatus = Literal["UPLOADED", "PROCESSING", "READY", "FAILED", "PENDING", "DOWNLOADING", "CACHED"]
#: Pipeline whose assets are cached media: foreign files by their address, with a status of their own words.
CACHE_PIPELINE = "cache"

#: Which of two waiting requests for one step goes first.
Priority = Literal["high", "normal", "low"]

#: From first to last.
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")
JOB_ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled"})
STEP_ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled", "skipped"})
STEP_PASSED: frozenset[str] = frozenset({"completed", "skipped"})


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a failed step is tried again, as data."""

    #: Tries in all, >= 1; retries = attempts - 1.
    attempts: int = 3
    #: How the delay grows from one failure to the next.
    backoff: Literal["fixed", "exponential"] = "exponential"
    #: Seconds before the first retry.
    delay_s: float = 2.0
    #: Growth of an exponential delay, per failure.
    factor: float = 2.0
    #: Longest delay, seconds.
    max_s: float = 300.0
    #: Share of the delay that is spread, 0-1: 0.1 means +-10 %.
    jitter: float = 0.1


class StepSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node of a pipeline, resolved when the job is submitted."""

    #: Step name: one word, the same in every folder.
    name: str
    #: Names of the steps that must have completed or been skipped before this one.
    after: tuple[str, ...] = ()
    #: Those of them without whose outputs there is nothing to do: when one was skipped, so is this step.
    needs: tuple[str, ...] = ()
    #: Whether the job goes on, and completes, without it: when it fails for good, only what needs it is left out.
    optional: bool = False
    #: The step's own parameters; its schema is schemas/<name>.py.
    params: Json = {}
    #: When to try again.
    retry: RetryPolicy = RetryPolicy()
    #: Share of the job's progress, relative to the other steps.
    weight: float = 1.0
    #: Whether many requests may share one record (steps that take no time).
    instant: bool = False


class Input(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the source media is: exactly one of the three."""

    #: Key relative to the store's root.
    object: str | None = None
    #: http(s) address.
    url: str | None = None
    #: Local file below one of the configured roots.
    path: str | None = None


class Lease(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An executor's claim on one attempt."""

    id: str
    #: The executor that holds it.
    executor_id: str
    #: When control granted it.
    accepted_at: float


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step of a job: its specification and where it stands."""

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
    #: Tries that found a remote endpoint asleep in this run.
    asleep: int = 0
    #: When the current attempt was last requested; unset while nothing is requested.
    requested_at: float | None = None
    #: How often the current attempt was requested.
    dispatches: int = 0
    #: The owner of the current attempt; kept after completion, so that a replay is known.
    lease: Lease | None = None
    #: When a delayed retry is due.
    due_at: float | None = None
    #: First acceptance in this run.
    started_at: float | None = None
    finished_at: float | None = None
    #: 0-1, the highest seen at the last change of this row.
    progress: float = 0.0
    #: Of the last failed attempt.
    error: ErrorRecord | None = None
    #: What the step produced; file values are keys in the store.
    outputs: Json | None = None
    #: Why it was skipped, e.g. "no-audio-track".
    reason: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run of a pipeline on one asset. Row of the table `jobs`, keyed by id."""

    id: str
    asset_id: str
    #: Name of the pipeline; its steps are resolved in `steps`.
    pipeline: str
    status: JobStatus
    #: In an order in which every step stands behind those it comes after.
    steps: tuple[Step, ...]
    input: Input
    created_at: float
    updated_at: float
    #: Counts resumes: 1, then + 1 with every retry of the job.
    run: int = 1
    #: Where its steps' requests stand among those of other jobs.
    priority: Priority = "normal"
    owner: str | None = None
    filename: str | None = None
    #: The submitter's own text, returned untouched.
    passthrough: str | None = None
    #: First acceptance of a step.
    started_at: float | None = None
    finished_at: float | None = None
    #: A cancel was asked for and active steps have not ended yet.
    cancelling: bool = False
    error: ErrorRecord | None = None
    #: sha256 of the submission's body, to tell a repeat from a clash.
    body_hash: str | None = None
    #: Highest applied offset per source topic that this row vouches for (its partition is the row's).
    at: dict[str, int] = {}


class DeletedJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is left of a deleted job, so that no late message brings it back. Row with key `!<job id>`."""

    id: str
    asset_id: str
    pipeline: str
    run: int
    deleted_at: float
    owner: str | None = None
    #: Folders of what it published, which must go.
    prefixes: tuple[str, ...] = ()
    #: As in Job.
    at: dict[str, int] = {}


class Queue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step's queue, when anything was ever said about it. Row with key `~<step>`."""

    step: str
    #: Whether executors take nothing from it.
    paused: bool
    #: Since when it is so.
    changed_at: float
    #: Who asked for it.
    changed_by: str | None = None
    #: As in Job; its partition is that of `queue:<step>`.
    at: dict[str, int] = {}


class AssetJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an asset keeps of one of its jobs."""

    status: JobStatus
    pipeline: str
    created_at: float
    #: Why it failed: an error code, or "cancelled".
    reason: str | None = None


class Asset(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One piece of media and everything derived from it. Row of the table `assets`, keyed by id."""

    id: str
    status: AssetStatus
    input: Input
    created_at: float
    updated_at: float
    owner: str | None = None
    filename: str | None = None
    passthrough: str | None = None
    #: Why it failed: an error code, or "cancelled".
    reason: str | None = None
    #: The newest of its jobs, at most 50, by job id; all of them are rows of the table `jobs`.
    jobs: dict[str, AssetJob] = {}
    #: The newest published outputs per step, over all jobs.
    outputs: dict[str, Any] = {}
    #: When each of them was published, by step.
    published_at: dict[str, float] = {}
    #: A job that had completed is forgotten, and what it published is kept: the asset stays READY without it.
    kept: bool = False
    #: As in Job.
    at: dict[str, int] = {}


class Watermark(msgspec.Struct, frozen=True, kw_only=True):
    """Row with key `@<partition>`: how far the log is applied, also where nothing changed. Scans and views skip it."""

    at: dict[str, int]

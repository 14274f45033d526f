"""The list of jobs: its filters and sort orders, and the view of a row."""

from typing import get_args

import msgspec

from schemas.jobs import Job, JobStatus
from schemas.steps import step_kinds
from web.http.problems import Problem
from web.live.progress import Progress
from web.readmodel import queries
from web.readmodel.job_groups import STEP_STATUSES
from web.readmodel.list_query import SORTS, Condition, Listing, ListQuery, ListSpec
from web.services import Services
from web.views.build import job_view
from web.views.models import JobView


def _of_step(text: str) -> Condition:
    """`STEP`, or `STEP:STATUS`. Raises Problem (400)."""
    step, colon, status = text.partition(":")
    if step not in step_kinds():
        raise Problem(400, "invalid-step", f"unknown step {step[:50]!r}: use {', '.join(step_kinds())}")
    if colon and status not in STEP_STATUSES:
        statuses = ", ".join(STEP_STATUSES)
        raise Problem(400, "invalid-step", f"unknown step status {status[:50]!r}: use {statuses}")
    return ("instr(states, ?) > 0", (f" {step}={status} " if colon else f" {step}=",))


JOBS = ListSpec(
    "jobs",
    frozenset(get_args(JobStatus)),
    frozenset({"pipeline", "asset_id", "owner"}),
    SORTS | {"duration": "duration_s", "duration_s": "duration_s", "progress": "progress"},
    covering_index="jobs_narrow",
    selective_indexes={"asset_id": "jobs_asset"},
    group_parameters=frozenset({"status", "pipeline", "owner", "step", "error_code", "scope"}),
    conditions={"step": _of_step, "error_code": lambda code: ("code = ?", (code,))},
)


class JobsQuery(ListQuery, frozen=True, kw_only=True):
    """Query parameters of the list of jobs."""

    #: Only jobs with one of these statuses, separated by commas: waiting, active, completed, failed, cancelled.
    status: str | None = None
    #: Only jobs of this pipeline.
    pipeline: str | None = None
    #: Only jobs of this asset.
    asset_id: str | None = None
    #: Only jobs with this step; "STEP:STATUS": only jobs whose step has that status, e.g. "transcode:queued".
    step: str | None = None
    #: Only jobs of this owner; only admins see jobs of others.
    owner: str | None = None
    #: Only jobs that failed with this error code.
    error_code: str | None = None


async def require_known_pipeline(parts: Services, listing: Listing, owner: str | None) -> None:
    """Raise Problem (400) for a pipeline that neither exists nor has a job of the owner (None: of anybody)."""
    name = listing.equals.get("pipeline")
    if (
        name is not None
        and name not in parts.pipelines
        and not await parts.model.read(queries.has_pipeline, name, owner)
    ):
        raise Problem(400, "invalid-pipeline", f"unknown pipeline {name[:50]!r}: use {', '.join(parts.pipelines)}")


def row_view(row: bytes, parts: Services) -> msgspec.Raw:
    """The view of a stored row with its live progress, in JSON."""
    return parts.views.of(row, lambda job: live_view(job, parts.progress))


def live_view(job: Job, progress: Progress) -> JobView:
    """Render the job with its live progress."""
    return job_view(job, progress.overlay(job))

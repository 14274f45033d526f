"""Responses of the routes of video processing."""

from typing import Literal

from schemas.jobs import JobStatus
from web.views.models import Time, View

Status = Literal["pending", "processing", "completed", "failed", "cancelled"]
#: The replaced system's name of each status.
STATUSES: dict[JobStatus, Status] = {
    "waiting": "pending",
    "active": "processing",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}


class Queued(View, frozen=True, kw_only=True):
    """A started job."""

    success: bool = True
    queue_id: str
    attachment_id: str


class StepDetail(View, frozen=True, kw_only=True):
    """Status of a step."""

    status: str
    #: 0-100.
    progress_percentage: int
    attempts: int
    started_at: Time | None
    completed_at: Time | None
    error: str | None


class Item(View, frozen=True, kw_only=True):
    """A job."""

    queue_id: str
    attachment_id: str
    status: Status
    #: 0-100.
    progress_percentage: int
    current_step: str | None
    steps: dict[str, StepDetail]
    error_message: str | None
    created_at: Time
    updated_at: Time
    completed_at: Time | None


class Queue(View, frozen=True, kw_only=True):
    """The caller's jobs, the newest first, and how many of each status there are."""

    pending: int
    processing: int
    completed: int
    failed: int
    cancelled: int
    items: list[Item]
    next_cursor: str | None


class Removed(View, frozen=True, kw_only=True):
    """The result for a job: cancelled while it waits or runs, deleted once it has ended."""

    success: bool = True
    queue_id: str
    action: Literal["cancelled", "deleted"]

"""Responses of the studio's routes."""

from typing import Literal

from schemas.jobs import JobStatus
from web.views.models import Time, View

#: Kind of a resource.
Kind = Literal["film", "episode"]


class Record(View, frozen=True, kw_only=True, rename="camel"):
    """A job. Type and resource come from the job's passthrough, JSON: {"type", "resourceId", "resourceName"}."""

    id: str
    job_id: str
    #: The current step, else the pipeline.
    queue_name: str
    status: JobStatus
    #: 0-100.
    progress: int
    type: Kind
    resource_id: str
    resource_name: str | None
    file_name: str | None
    can_cancel: bool
    cancelled_at: Time | None
    failed_reason: str | None
    created_at: Time
    updated_at: Time
    completed_at: Time | None


class Records(View, frozen=True, kw_only=True, rename="camel"):
    """A page, and counts of all jobs that the caller may see."""

    data: list[Record]
    statistics: dict[str, int]
    next_cursor: str | None


class QueueInfo(View, frozen=True, kw_only=True, rename="camel"):
    """The queue of a job's current step, else of its last one, with numbers of the caller's jobs."""

    #: Name of the step.
    queue_name: str
    is_paused: bool
    #: Position of the job while it waits for an executor, from 1.
    position: int | None
    waiting: int
    active: int
    delayed: int
    completed: int
    failed: int


class Detail(Record, frozen=True, kw_only=True, rename="camel"):
    """A job and its queue."""

    queue: QueueInfo


class One(View, frozen=True, kw_only=True):
    """One job."""

    data: Detail


class Done(View, frozen=True, kw_only=True, rename="camel"):
    """A command that was accepted."""

    success: bool = True
    job_id: str

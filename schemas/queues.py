"""Reports of the dispatcher about the queues of the steps."""

from typing import Annotated, ClassVar, Literal

import msgspec

from schemas.base import Message

#: Attempts that one report lists at most: a report stays below 64 KB.
MAX_QUEUED = 500

#: Why nothing of a queue can start; empty: what waits starts in order.
BlockedReason = Literal["", "paused", "no_executor", "capped"]


class QueuedAttempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """An attempt that waits for an executor."""

    job_id: str
    #: Turn that it gets among those that wait for the same capacity, from 1.
    position: int
    #: Estimated seconds until it starts; null while it cannot start.
    wait_s: float | None = None
    #: Its owner has as many active attempts as it may have.
    capped_owner: bool = False


class QueueReported(Message, frozen=True, kw_only=True):
    """On `media.progress`, about once a second from the dispatcher while attempts of the step wait; may be lost."""

    TYPE: ClassVar[str] = "media.queue.reported.v1"

    step: str
    #: Number of the dispatcher: a report of one that was replaced does not count.
    dispatcher: int
    #: Attempts that wait for an executor; 0: the last report for now.
    waiting: int = 0
    #: Attempts that all executors together run at a time.
    slots: int = 0
    #: Why nothing of it can start.
    reason: BlockedReason = ""
    #: The first ones, at most 500, in order.
    first: Annotated[tuple[QueuedAttempt, ...], msgspec.Meta(max_length=MAX_QUEUED)] = ()

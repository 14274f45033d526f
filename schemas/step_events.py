"""Requests to executors, their answers on `media.step-events`, and the clock's ticks there."""

from typing import ClassVar

import msgspec

from schemas.base import ErrorRecord, Json, Message
from schemas.jobs import Input, Priority
from schemas.transcribe import Caption


class StepRequested(Message, frozen=True, kw_only=True):
    """Do one attempt of one step. Repeats carry the same id and are harmless."""

    TYPE: ClassVar[str] = "media.step.requested.v1"

    job_id: str
    asset_id: str
    #: The job's run, from 1.
    run: int
    step: str
    #: Try within the run, from 1.
    attempt: int
    input: Input
    #: Control's clock; comes back in AttemptAccepted.
    requested_at: float
    #: Which of the step's request topics it stands on.
    priority: Priority = "normal"
    filename: str | None = None
    params: Json = {}
    #: Outputs of the completed steps that this one comes after, directly or not, by step name.
    inputs: dict[str, Json] = {}
    #: How often this step may still wait for a remote endpoint that is asleep; 0: go on to the next backend.
    asleep_left: int = 0


class StepEvent(Message, frozen=True, kw_only=True):
    """What every answer about an attempt carries."""

    job_id: str
    asset_id: str
    run: int
    step: str
    attempt: int


class AttemptAccepted(StepEvent, frozen=True, kw_only=True):
    """An executor claims the attempt. The first one owns the lease."""

    TYPE: ClassVar[str] = "media.step.accepted.v1"

    lease_id: str
    executor_id: str
    #: `requested_at` of the request that was accepted.
    requested_at: float
    #: Line of requests it came from: the partition on the topic of normal priority; partitions further for others.
    request_partition: int


class AttemptHeartbeat(StepEvent, frozen=True, kw_only=True):
    """The owner is alive. Renews the lease; changes no row."""

    TYPE: ClassVar[str] = "media.step.heartbeat.v1"

    lease_id: str
    executor_id: str
    #: 0-1.
    progress: float = 0.0


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What AttemptAccepted says, in the end of an attempt that was over before it could be said."""

    executor_id: str
    requested_at: float
    request_partition: int


class AttemptEnded(StepEvent, frozen=True, kw_only=True):
    """How an attempt ended. Only the owner of its lease changes the step."""

    lease_id: str
    #: Where the attempt was not accepted by itself: it is by this, and then has ended.
    claim: Claim | None = None


class AttemptCompleted(AttemptEnded, frozen=True, kw_only=True):
    """The outputs are staged and proven; the row may point at them."""

    TYPE: ClassVar[str] = "media.step.finished.v1"

    outputs: Json = {}


class AttemptSkipped(AttemptEnded, frozen=True, kw_only=True):
    """There was nothing to do for this input, e.g. no audio track."""

    TYPE: ClassVar[str] = "media.step.passed-over.v1"

    #: Stable, e.g. "no-video-track".
    reason: str
    outputs: Json = {}


class AttemptFailed(AttemptEnded, frozen=True, kw_only=True):
    """The attempt failed; `error.retriable` decides what follows."""

    TYPE: ClassVar[str] = "media.step.attempt-failed.v1"

    error: ErrorRecord
    #: How far the attempt came, 0-1: the step's progress does not fall below it in this run.
    progress: float = 0.0


class AttemptReleased(StepEvent, frozen=True, kw_only=True):
    """The executor is stopping and gives the attempt back; not a failure."""

    TYPE: ClassVar[str] = "media.step.released.v1"

    lease_id: str
    #: As in AttemptFailed.
    progress: float = 0.0


class AttemptCancelled(StepEvent, frozen=True, kw_only=True):
    """The executor killed the work after a revoke."""

    TYPE: ClassVar[str] = "media.step.revoked.v1"

    lease_id: str
    #: As in AttemptFailed.
    progress: float = 0.0


class RetryDue(StepEvent, frozen=True, kw_only=True):
    """Control's clock: the delay of a retry is over. `attempt` is the one that failed."""

    TYPE: ClassVar[str] = "media.step.retry-due.v1"


class LeaseExpired(StepEvent, frozen=True, kw_only=True):
    """Control's clock: the lease was not renewed in time."""

    TYPE: ClassVar[str] = "media.step.lease-expired.v1"

    lease_id: str
    #: Progress at the last heartbeat, 0-1.
    progress: float = 0.0
    #: When the clock looked, by the log's own time, seconds since the epoch; 0: not said.
    decided_at: float = 0.0


class DispatchDue(StepEvent, frozen=True, kw_only=True):
    """Control's clock: nobody accepted the request; ask again."""

    TYPE: ClassVar[str] = "media.step.dispatch-due.v1"

    #: How often it was requested when the clock looked; ignored when that has changed.
    dispatches: int


class LeaseRevoked(Message, frozen=True, kw_only=True):
    """On `media.control`, to every executor: stop this lease's work and kill what it started."""

    TYPE: ClassVar[str] = "media.lease.revoked.v1"

    job_id: str
    asset_id: str
    run: int
    step: str
    attempt: int
    lease_id: str
    #: "cancelled", "superseded" or "unknown".
    reason: str


class QueueChanged(Message, frozen=True, kw_only=True):
    """On `media.control`, to every executor: whether to take from a step's queue. Said again while it is paused."""

    TYPE: ClassVar[str] = "media.queue.changed.v1"

    step: str
    paused: bool
    #: Since when; an older message than one that is known changes nothing.
    changed_at: float


class StepProgressed(Message, frozen=True, kw_only=True):
    """On `media.progress`, about once a second per attempt; may be lost."""

    TYPE: ClassVar[str] = "media.step.progressed.v1"

    job_id: str
    asset_id: str
    run: int
    step: str
    attempt: int
    lease_id: str
    #: 0-1, never falling within an attempt.
    progress: float
    #: Seconds left, when there is ground for a guess.
    eta_s: float | None = None
    #: 0-1 per part of the step, e.g. per rendition.
    parts: dict[str, float] = {}


class StepCaptioned(Message, frozen=True, kw_only=True):
    """On `media.progress`: what was just heard, before the step has ended; may be lost."""

    TYPE: ClassVar[str] = "media.step.captioned.v1"

    job_id: str
    asset_id: str
    run: int
    step: str
    attempt: int
    lease_id: str
    caption: Caption

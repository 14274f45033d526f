"""Requests to executors, their reports on `media.step-events`, and the deadlines there."""

from typing import ClassVar

import msgspec

from schemas.base import ErrorRecord, Json, Message
from schemas.jobs import Input, Priority
from schemas.transcribe import Caption


class StepRequested(Message, frozen=True, kw_only=True):
    """A request for one attempt of one step, to one executor. Repeats have the same id and are harmless."""

    TYPE: ClassVar[str] = "media.step.requested.v1"

    job_id: str
    asset_id: str
    #: The job's run, from 1.
    run: int
    step: str
    #: Try within the run, from 1.
    attempt: int
    input: Input
    #: Time by control's clock; returned in AttemptAccepted.
    requested_at: float
    #: Order among waiting steps.
    priority: Priority = "normal"
    filename: str | None = None
    params: Json = {}
    #: Outputs of all completed earlier steps, by step name.
    inputs: dict[str, Json] = {}
    #: Remaining waits for a sleeping endpoint; 0: continue with the next backend.
    asleep_left: int = 0
    #: Session id of the executor that it is for; others ignore it.
    to: str = ""
    #: Number of the dispatcher: an executor ignores requests of one that was replaced.
    dispatcher: int = 0
    #: Which CPU turn the attempt has: "full", "short", or "" for none.
    turn: str = ""


class StepEvent(Message, frozen=True, kw_only=True):
    """Common fields of events about an attempt."""

    job_id: str
    asset_id: str
    run: int
    step: str
    attempt: int


class AttemptAccepted(StepEvent, frozen=True, kw_only=True):
    """An executor accepts the attempt. The first one owns the lease."""

    TYPE: ClassVar[str] = "media.step.accepted.v1"

    lease_id: str
    executor_id: str
    #: `requested_at` of the request that was accepted.
    requested_at: float
    #: Unused; control of a version before the dispatcher requires it.
    request_partition: int = 0
    #: Session of the executor.
    session_id: str = ""


class AttemptHeartbeat(StepEvent, frozen=True, kw_only=True):
    """The owner is alive. Renews the lease; changes no row."""

    TYPE: ClassVar[str] = "media.step.heartbeat.v1"

    lease_id: str
    executor_id: str
    #: 0-1.
    progress: float = 0.0


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of AttemptAccepted, in the last event of an attempt that ended before it was sent."""

    executor_id: str
    requested_at: float
    request_partition: int = 0
    session_id: str = ""


class AttemptEnded(StepEvent, frozen=True, kw_only=True):
    """The last event of an attempt. Only the owner of its lease changes the step."""

    lease_id: str
    #: Set if AttemptAccepted was not sent: this event accepts the attempt and ends it.
    claim: Claim | None = None


class AttemptCompleted(AttemptEnded, frozen=True, kw_only=True):
    """The attempt completed: its outputs are published and validated."""

    TYPE: ClassVar[str] = "media.step.finished.v1"

    outputs: Json = {}


class AttemptSkipped(AttemptEnded, frozen=True, kw_only=True):
    """The step does not apply to this input, e.g. no audio track."""

    TYPE: ClassVar[str] = "media.step.passed-over.v1"

    #: Stable, e.g. "no-video-track".
    reason: str
    outputs: Json = {}


class AttemptFailed(AttemptEnded, frozen=True, kw_only=True):
    """The attempt failed; `error.retriable` decides what follows."""

    TYPE: ClassVar[str] = "media.step.attempt-failed.v1"

    error: ErrorRecord
    #: Progress of the attempt, 0-1; the step's progress does not fall below it in this run.
    progress: float = 0.0


class AttemptReleased(StepEvent, frozen=True, kw_only=True):
    """The executor is stopping and releases the attempt; not a failure."""

    TYPE: ClassVar[str] = "media.step.released.v1"

    lease_id: str
    #: As in AttemptFailed.
    progress: float = 0.0


class AttemptCancelled(StepEvent, frozen=True, kw_only=True):
    """The executor stopped the work after its lease was revoked."""

    TYPE: ClassVar[str] = "media.step.revoked.v1"

    lease_id: str
    #: As in AttemptFailed.
    progress: float = 0.0


class RetryDue(StepEvent, frozen=True, kw_only=True):
    """Deadline from control: the delay of a retry is over. `attempt` is the one that failed."""

    TYPE: ClassVar[str] = "media.step.retry-due.v1"


class LeaseExpired(StepEvent, frozen=True, kw_only=True):
    """Deadline from control: the lease was not renewed in time."""

    TYPE: ClassVar[str] = "media.step.lease-expired.v1"

    lease_id: str
    #: Progress at the last heartbeat, 0-1.
    progress: float = 0.0
    #: Time of the check by the log's clock, seconds since the epoch; 0: unknown.
    decided_at: float = 0.0


class JobDue(Message, frozen=True, kw_only=True):
    """Deadline from control: the time has come at which the job was to start."""

    TYPE: ClassVar[str] = "media.job.due.v1"

    job_id: str
    asset_id: str


class DispatchDue(StepEvent, frozen=True, kw_only=True):
    """Deadline from control: no executor accepted the request; request the attempt again."""

    TYPE: ClassVar[str] = "media.step.dispatch-due.v1"

    #: Number of requests at the time of the check; the event is ignored if it has changed.
    dispatches: int


class LeaseRevoked(Message, frozen=True, kw_only=True):
    """On `media.control`, to every executor: stop the work of this lease and kill its processes."""

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
    """On `media.control`, to every executor: a step's queue was paused or resumed. Repeated while paused."""

    TYPE: ClassVar[str] = "media.queue.changed.v1"

    step: str
    paused: bool
    #: Time of the change; older messages are ignored.
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
    #: 0-1, never decreasing within an attempt.
    progress: float
    #: Estimated seconds left, if known.
    eta_s: float | None = None
    #: 0-1 per part of the step, e.g. per rendition.
    parts: dict[str, float] = {}


class StepCaptioned(Message, frozen=True, kw_only=True):
    """On `media.progress`: a caption, while the step runs; may be lost."""

    TYPE: ClassVar[str] = "media.step.captioned.v1"

    job_id: str
    asset_id: str
    run: int
    step: str
    attempt: int
    lease_id: str
    caption: Caption

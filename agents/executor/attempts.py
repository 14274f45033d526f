"""Attempt: one accepted request, from its acceptance to its last event."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from agents.executor.capacity import CpuTicket
from agents.executor.progress import Progress
from schemas.step_events import StepEvent, StepRequested
from schemas.steps import StepKind
from schemas.transcribe import Caption

#: The turn of a heavy attempt that is expected to be short.
SHORT_TURN = "short"
#: Why an attempt is stopped: its lease was revoked, or this executor shuts down.
StopReason = Literal["cancelled", "released"]


class AttemptKey(NamedTuple):
    """The fields that a repeated request shares with the first one."""

    job_id: str
    run: int
    step: str
    attempt: int


@dataclass(slots=True)
class AttemptIdentity:
    """Which attempt of which step was accepted, and under which lease. Not changed after it is made.

    Neither frozen nor with cached properties: on Python 3.11 both cost an instant step a tenth of its time.
    """

    request: StepRequested
    kind: StepKind
    lease_id: str
    #: Id of the request's event.
    request_event_id: str
    #: Equal for repeats of the request.
    key: AttemptKey = field(init=False)
    #: Beginning of the ids of its events.
    event_prefix: str = field(init=False)

    def __post_init__(self) -> None:
        request = self.request
        self.key = AttemptKey(request.job_id, request.run, request.step, request.attempt)
        self.event_prefix = f"{request.job_id}/{request.run}/{request.step}/{request.attempt}/{self.lease_id}/"

    @property
    def event_fields(self) -> dict[str, Any]:
        """The fields of every event about the attempt."""
        request = self.request
        return {
            "job_id": request.job_id,
            "run": request.run,
            "step": request.step,
            "attempt": request.attempt,
            "asset_id": request.asset_id,
            "lease_id": self.lease_id,
        }

    @property
    def is_short(self) -> bool:
        """Whether it runs beside the heavy attempt that has the CPUs, on one of them and without a slot."""
        return self.kind.heavy and self.request.turn == SHORT_TURN

    @property
    def name(self) -> str:
        """`<attempt>-<lease>`: unique per attempt of a step."""
        return f"{self.request.attempt}-{self.lease_id}"

    @property
    def store_prefix(self) -> str:
        """Key prefix of its outputs in the store."""
        return f"assets/{self.request.asset_id}/{self.request.step}/{self.name}"

    @property
    def log_fields(self) -> dict[str, Any]:
        """The fields of every log line about the attempt."""
        return {**self.key._asdict(), "lease_id": self.lease_id}


@dataclass(slots=True)
class SentEvents:
    """How many events of each kind an attempt has sent, for their ids; and its last heartbeat."""

    heartbeats: int = 0
    progress: int = 0
    captions: int = 0
    #: Monotonic seconds.
    last_heartbeat_at: float = 0.0
    last_heartbeat: asyncio.Future[Any] | None = None


@dataclass(slots=True)
class Attempt:
    """The running state of an accepted request."""

    identity: AttemptIdentity
    #: Its position in the queue for the CPUs; None for a step that is not heavy.
    cpu_ticket: CpuTicket | None = None
    #: Its step's slots; None: it needs none.
    slots: asyncio.Semaphore | None = None
    on_progress: Callable[["Attempt"], None] | None = None
    on_caption: Callable[["Attempt", Caption], None] | None = None
    progress: Progress = field(init=False)
    sent: SentEvents = field(default_factory=SentEvents)
    state: Literal["accepted", "running", "ended"] = "accepted"
    #: Whether it has a slot; until then another executor can start it at once.
    has_slot: bool = False
    stop_reason: StopReason | None = None
    #: Whether AttemptAccepted was sent; the last event, where both are sent as one.
    is_claimed: bool = False
    last_event: StepEvent | None = None
    task: asyncio.Task[Any] | None = None

    def __post_init__(self) -> None:
        # An instant step may be over within the second, so each of its reports is sent.
        self.progress = Progress(interval_s=0.0 if self.identity.kind.instant else 1.0)

    def report(self, progress: float, parts: Mapping[str, float]) -> None:
        """See processors.contract.Report."""
        self.progress.note(progress, parts)
        if self.on_progress is not None:
            self.on_progress(self)

    def show(self, caption: Caption) -> None:
        """See processors.contract.Work."""
        self.sent.captions += 1
        if self.on_caption is not None and self.state != "ended":
            self.on_caption(self, caption)

    def release_cpus(self) -> None:
        """See processors.contract.Work. A repeat is harmless."""
        if self.cpu_ticket is not None:
            self.cpu_ticket.release()

    def stop(self, reason: StopReason) -> None:
        """Cancel the work; its last event reports `reason`. Ignored when it has ended or is being stopped."""
        if self.state == "ended" or self.stop_reason is not None:
            return
        self.stop_reason = reason
        if self.task is not None and self.state == "running":  # a task cancelled before its first step runs nothing
            self.task.cancel()

"""Reports of an executor: step events, which must arrive, and progress, which may be lost."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from agents.executor.attempts import Attempt
from schemas.step_events import (
    AttemptAccepted,
    AttemptEnded,
    AttemptHeartbeat,
    Claim,
    StepCaptioned,
    StepEvent,
    StepProgressed,
)
from schemas.transcribe import Caption
from streams.kafka.clock_skew import SkewAlarm
from streams.kafka.envelope import structured
from streams.kafka.outbox import Outbox
from streams.kafka.partitioner import partition_of
from streams.kafka.producer import RETRY_S, is_permanent
from streams.kafka.topics import Names

log = logging.getLogger(__name__)

#: Ends the process: (reason, facts).
Fatal = Callable[..., Any]


class OutboundEvent(NamedTuple):
    """An event that is ready to be sent."""

    topic: str
    partition: int
    event: bytes


class StepReporter:
    """Sends the events of one executor. `fatal` is called when an event can never be delivered."""

    def __init__(
        self, outbox: Outbox, topics: Names, partitions: int, executor_id: str, *, session_id: str, fatal: Fatal
    ) -> None:
        self._outbox = outbox
        self._topics = topics
        self._partitions = partitions
        self._executor_id, self._session_id = executor_id, session_id
        self._source = f"kinolog/{executor_id}"
        self._fatal = fatal
        self._skew = SkewAlarm()
        #: Whether the broker takes no events at the moment.
        self.is_undelivered = False

    def acceptance(self, attempt: Attempt) -> OutboundEvent:
        """The event that claims the attempt."""
        message = AttemptAccepted(**attempt.identity.event_fields, **self._claim(attempt))
        return self._step_event(attempt, message, "accepted")

    def end(self, attempt: Attempt, message: StepEvent) -> OutboundEvent:
        """The last event of a claimed attempt."""
        return self._step_event(attempt, message, "ended")

    def claimed_end(self, attempt: Attempt, message: StepEvent) -> list[OutboundEvent]:
        """The events that claim and end an attempt at once."""
        if isinstance(message, AttemptEnded):
            return [self.end(attempt, replace(message, claim=Claim(**self._claim(attempt))))]
        return [self.acceptance(attempt), self.end(attempt, message)]

    def _claim(self, attempt: Attempt) -> dict[str, Any]:
        return {
            "executor_id": self._executor_id,
            "requested_at": attempt.identity.request.requested_at,
            "session_id": self._session_id,
        }

    def heartbeat(self, attempt: Attempt) -> None:
        """Renew the lease without waiting. Nothing is sent while the last heartbeat is not delivered."""
        sent = attempt.sent
        if sent.last_heartbeat is not None and not sent.last_heartbeat.done():
            return
        sent.heartbeats += 1
        message = AttemptHeartbeat(
            **attempt.identity.event_fields, executor_id=self._executor_id, progress=attempt.progress.value
        )
        sent.last_heartbeat = self._outbox.put(*self._step_event(attempt, message, f"heartbeat/{sent.heartbeats}"))
        self._skew.watch(sent.last_heartbeat)

    def progress(self, attempt: Attempt, eta_s: float | None) -> None:
        """Send the progress of an attempt without waiting."""
        attempt.sent.progress += 1
        message = StepProgressed(
            **attempt.identity.event_fields,
            progress=attempt.progress.value,
            eta_s=eta_s,
            parts=attempt.progress.parts,
        )
        self._put_progress(attempt, message, f"progress/{attempt.sent.progress}")

    def caption(self, attempt: Attempt, caption: Caption) -> None:
        """Send a caption that was just transcribed without waiting."""
        message = StepCaptioned(**attempt.identity.event_fields, caption=caption)
        self._put_progress(attempt, message, f"caption/{attempt.sent.captions}")

    async def deliver(self, events: Sequence[OutboundEvent]) -> None:
        """Return when the broker has all events; tries until then. Cancelling it affects no other sender."""
        remaining = list(events)
        while remaining:
            deliveries = [self._outbox.put(*event) for event in remaining]
            await asyncio.wait(set(deliveries))
            errors = [delivery.exception() for delivery in deliveries]
            failures = [(event, error) for event, error in zip(remaining, errors, strict=True) if error is not None]
            self.is_undelivered = bool(failures)
            if not failures:
                return
            error = failures[0][1]
            if is_permanent(error):
                self._fatal("a step event can never be delivered", error=repr(error))
            remaining = [event for event, _ in failures]
            log.warning("events undelivered, trying again", extra={"events": len(remaining), "error": repr(error)})
            await asyncio.sleep(RETRY_S)

    async def flush(self) -> None:
        """Send what is waiting."""
        await self._outbox.flush()

    def _step_event(self, attempt: Attempt, message: StepEvent, id_suffix: str) -> OutboundEvent:
        return self._event(attempt, self._topics.step_events, message, id_suffix)

    def _put_progress(self, attempt: Attempt, message: StepProgressed | StepCaptioned, id_suffix: str) -> None:
        self._outbox.put(*self._event(attempt, self._topics.progress, message, id_suffix))

    def _event(self, attempt: Attempt, topic: str, message: Any, id_suffix: str) -> OutboundEvent:
        identity = attempt.identity
        event = structured(
            message,
            event_id=identity.event_prefix + id_suffix,
            source=self._source,
            subject=identity.request.asset_id,
            correlation_id=identity.request.job_id,
            causation_id=identity.request_event_id,
        )
        return OutboundEvent(topic, partition_of(identity.request.asset_id, self._partitions), event)

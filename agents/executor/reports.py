"""What an executor says: step events that must arrive, and progress that may be lost."""

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
from streams.kafka.envelope import structured
from streams.kafka.outbox import Outbox
from streams.kafka.partitioner import partition_of
from streams.kafka.producer import RETRY_S, hopeless
from streams.kafka.topics import Names

log = logging.getLogger(__name__)

#: Ends the process: (reason, facts).
Fatal = Callable[..., Any]


class OutboundEvent(NamedTuple):
    """One event on its way out."""

    topic: str
    partition: int
    event: bytes


class StepReporter:
    """Speaks for one executor. `fatal` is called when a message can never be delivered."""

    def __init__(self, outbox: Outbox, topics: Names, partitions: int, executor_id: str, fatal: Fatal) -> None:
        self._outbox = outbox
        self._topics = topics
        self._partitions = partitions
        self._executor_id, self._source = executor_id, f"kinolog/{executor_id}"
        self._fatal = fatal
        #: Whether the broker does not take what is said.
        self.unheard = False

    def acceptance(self, attempt: Attempt) -> OutboundEvent:
        """That the attempt is ours."""
        message = AttemptAccepted(**attempt.identity, **self._claim(attempt))
        return self._step_event(attempt, message, "accepted")

    def ending(self, attempt: Attempt, message: StepEvent) -> OutboundEvent:
        """How the attempt ended."""
        return self._step_event(attempt, message, "ended")

    def whole(self, attempt: Attempt, message: StepEvent) -> list[OutboundEvent]:
        """That the attempt was ours, and how it ended."""
        if isinstance(message, AttemptEnded):
            return [self.ending(attempt, replace(message, claim=Claim(**self._claim(attempt))))]
        return [self.acceptance(attempt), self.ending(attempt, message)]

    def _claim(self, attempt: Attempt) -> dict[str, Any]:
        return {
            "executor_id": self._executor_id,
            "requested_at": attempt.requested.requested_at,
            "request_partition": attempt.partition,
        }

    def beat(self, attempt: Attempt) -> None:
        """Renew the lease; not waited for, and not said again while the last one is still on its way."""
        if attempt.beat is not None and not attempt.beat.done():
            return
        attempt.beats += 1
        message = AttemptHeartbeat(
            **attempt.identity,
            executor_id=self._executor_id,
            progress=attempt.progress.value,
        )
        attempt.beat = self._outbox.put(*self._step_event(attempt, message, f"heartbeat/{attempt.beats}"))

    def progress(self, attempt: Attempt, eta_s: float | None) -> None:
        """Say how far the attempt is; not waited for."""
        attempt.progress_messages += 1
        progress = attempt.progress
        message = StepProgressed(
            **attempt.identity,
            progress=progress.value,
            eta_s=eta_s,
            parts=progress.parts,
        )
        said = self._event(attempt, self._topics.progress, message, f"progress/{attempt.progress_messages}")
        self._outbox.put(*said)

    def caption(self, attempt: Attempt, caption: Caption) -> None:
        """Say what was just heard; not waited for."""
        message = StepCaptioned(**attempt.identity, caption=caption)
        self._outbox.put(*self._event(attempt, self._topics.progress, message, f"caption/{attempt.captions}"))

    async def deliver(self, sayings: Sequence[OutboundEvent]) -> None:
        """Return when the broker has all of them; tries for as long as it takes. Cancelling harms no other sender."""
        left = list(sayings)
        while left:
            answers = [self._outbox.put(*saying) for saying in left]
            await asyncio.wait(set(answers))
            failures = [(s, error) for s, answer in zip(left, answers, strict=True) if (error := answer.exception())]
            self.unheard = bool(failures)
            if not failures:
                return
            error = failures[0][1]
            if hopeless(error):
                self._fatal("a step event can never be delivered", error=repr(error))
            left = [saying for saying, _ in failures]
            log.warning(
                "the broker did not take events, trying again", extra={"events": len(left), "error": repr(error)}
            )
            await asyncio.sleep(RETRY_S)

    async def flush(self) -> None:
        """Send what is waiting."""
        await self._outbox.flush()

    def _step_event(self, attempt: Attempt, message: StepEvent, what: str) -> OutboundEvent:
        return self._event(attempt, self._topics.step_events, message, what)

    def _event(self, attempt: Attempt, topic: str, message: Any, what: str) -> OutboundEvent:
        asked = attempt.requested
        event = structured(
            message,
            event_id=attempt.event_prefix + what,
            source=self._source,
            subject=asked.asset_id,
            correlation_id=asked.job_id,
            causation_id=attempt.event_id,
        )
        return OutboundEvent(topic, partition_of(asked.asset_id, self._partitions), event)

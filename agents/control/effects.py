"""EffectPublisher: sends revokes and removals to executors, facts, and dead letters. Requests are the dispatcher's."""

import logging
from collections.abc import Callable
from typing import Any

from schemas.base import ErrorRecord, Message
from schemas.facts import JobCompleted
from schemas.removals import RemoveArtifacts
from schemas.step_events import LeaseRevoked, QueueChanged, StepRequested
from streams.kafka.dead_letters import dead_letter
from streams.kafka.envelope import binary, structured
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from streams.settings import Settings
from streams.worker.app import KinologApp
from tables.effects import event_id
from tables.queues import queue_key

log = logging.getLogger(__name__)

SOURCE = "kinolog/control"


class EffectPublisher:
    """Publishes effects to their topics, by the app's outbox and its next batch."""

    def __init__(self, app: KinologApp, settings: Settings) -> None:
        self._app = app
        self._topics, self._partitions = names(settings), settings.partitions
        self._publishers: dict[type[Message], Callable[[Any, float], None]] = {
            StepRequested: lambda _message, _now: None,  # the dispatcher follows the rows
            QueueChanged: lambda m, now: self._broadcast(_structured(m, queue_key(m.step), now)),
            LeaseRevoked: lambda m, now: self._broadcast(_structured(m, m.asset_id, now)),
            RemoveArtifacts: self._remove,
            JobCompleted: self._completed,
        }

    def publish(self, effects: list[Message], now: float) -> None:
        """Publish all effects. `now`: time of the events."""
        publishers, publish_fact = self._publishers, self._publish_fact
        for effect in effects:
            publishers.get(type(effect), publish_fact)(effect, now)

    def dead_letter(self, message: Any, raw: bytes, error: ErrorRecord) -> None:
        """Send an entry of the record `message` to the dead letters."""
        letter = dead_letter(message, raw, error, "control")
        self._app.batch_sender.put(self._topics.dead_letters, message.partition, *letter)

    def _remove(self, removal: RemoveArtifacts, now: float) -> None:
        partition = partition_of(removal.asset_id, self._partitions)
        self._app.outbox.put(self._topics.removals, partition, _structured(removal, removal.asset_id, now))

    def _broadcast(self, event: bytes) -> None:
        """Send an event to every executor."""
        self._app.outbox.put(self._topics.control, 0, event)

    def _completed(self, fact: JobCompleted, now: float) -> None:
        """Publish a completion; what is missing from it needs a person, as a failure does."""
        if fact.warnings:
            steps = {f"{warning.step}:{warning.code}" for warning in fact.warnings}
            about = {"job_id": fact.job_id, "asset_id": fact.asset_id, "pipeline": fact.pipeline}
            log.warning("job completed with warnings", extra=about | {"warnings": ", ".join(sorted(steps))})
        self._publish_fact(fact, now)

    def _publish_fact(self, fact: Any, now: float) -> None:
        asset_id = fact.asset_id
        value, headers = binary(
            fact,
            event_id=event_id(fact),
            source=SOURCE,
            subject=asset_id,
            at=now,
            correlation_id=getattr(fact, "job_id", None),
        )
        partition = partition_of(asset_id, self._partitions)
        self._app.batch_sender.put(self._topics.events, partition, asset_id.encode(), value, headers)


def _structured(effect: LeaseRevoked | RemoveArtifacts | QueueChanged, subject: str, now: float) -> bytes:
    job_id = getattr(effect, "job_id", None)
    return structured(effect, event_id=event_id(effect), source=SOURCE, subject=subject, at=now, correlation_id=job_id)

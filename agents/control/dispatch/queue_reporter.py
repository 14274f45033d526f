"""QueueReporter: publishes the order of the queues on `media.progress`, for people who wait."""

import asyncio
import logging
import time
from typing import Any

from schemas.queues import QueueReported
from schemas.steps import step_kinds
from streams.ids import new_id
from streams.kafka.envelope import structured
from streams.kafka.topics import names
from streams.settings import Settings
from streams.worker.app import KinologApp
from tables.dispatch.ledger import Ledger
from tables.dispatch.queue_reports import queue_reports

log = logging.getLogger(__name__)

#: Seconds between checks of what has changed, and between reports of what has not.
_EVERY_S, _REPEAT_S = 1.0, 5.0
_SOURCE = "kinolog/control"


class QueueReporter:
    """Reports what has changed once a second, and everything every five seconds; nothing while nothing waits."""

    def __init__(self, app: KinologApp, settings: Settings) -> None:
        self._app, self._topic = app, names(settings).progress
        self._due_at = self._repeat_at = 0.0
        self._sent: dict[str, QueueReported] = {}
        self._delivery: asyncio.Future[Any] | None = None

    def report(self, ledger: Ledger, number: int) -> None:
        """Report if it is time. `number`: of the dispatcher. Never raises: nobody's work depends on it."""
        now = time.monotonic()
        if now < self._due_at or (self._delivery is not None and not self._delivery.done()):
            return  # no broker: what waits to be sent is enough
        self._due_at = now + _EVERY_S
        try:
            self._publish(queue_reports(ledger, step_kinds(), number), now)
        except Exception:
            log.exception("queues cannot be reported")

    def _publish(self, current: dict[str, QueueReported], now: float) -> None:
        repeats = now >= self._repeat_at
        self._repeat_at = now + _REPEAT_S if repeats else self._repeat_at
        for message in changed_reports(self._sent, current, repeats=repeats):
            event = structured(message, event_id=new_id("report"), source=_SOURCE, subject=message.step)
            self._delivery = self._app.outbox.put(self._topic, 0, event)
        self._sent = current


def changed_reports(
    sent: dict[str, QueueReported], current: dict[str, QueueReported], *, repeats: bool
) -> list[QueueReported]:
    """The reports to send after `sent`; also an empty one for each queue in which nothing waits any more."""
    emptied = [QueueReported(step=step, dispatcher=sent[step].dispatcher) for step in sent if step not in current]
    return emptied + [
        message for step, message in current.items() if repeats or _order(message) != _order(sent.get(step))
    ]


def _order(message: QueueReported | None) -> object:
    """What a report says apart from estimates, which count down by themselves."""
    if message is None:
        return None
    places = [(attempt.job_id, attempt.position, attempt.capped_owner) for attempt in message.first]
    return message.dispatcher, message.waiting, message.slots, message.reason, places

"""The state machine of a step's queue, pure: paused or not, and its limit."""

from msgspec.structs import replace

from schemas.commands import LimitQueue, PauseQueue, ResumeQueue
from schemas.jobs import Queue
from schemas.step_events import QueueChanged
from tables.bounds import MAX_OWNER_BYTES, clipped
from tables.effects import Effects

QueueCommand = PauseQueue | ResumeQueue | LimitQueue


def queue_key(step: str) -> str:
    """Partition key of commands about a step's queue."""
    return f"queue:{step}"


def advance_queue(queue: Queue | None, event: QueueCommand, now: float) -> tuple[Queue, Effects]:
    """The queue after `event`, and its effects. A repeat returns the same object and the same effects."""
    if isinstance(event, LimitQueue):
        known = queue or Queue(step=event.step, paused=False, changed_at=now, changed_by=_author(event))
        return known if known.max_active == event.max_active else replace(known, max_active=event.max_active), []
    paused = isinstance(event, PauseQueue)
    if queue is None or queue.paused != paused:
        max_active = queue.max_active if queue is not None else None
        author = _author(event)
        queue = Queue(step=event.step, paused=paused, changed_at=now, changed_by=author, max_active=max_active)
    return queue, queue_effects(queue)


def _author(event: QueueCommand) -> str | None:
    return None if event.requested_by is None else clipped(event.requested_by, MAX_OWNER_BYTES)


def queue_effects(queue: Queue) -> Effects:
    """All effects that a queue implies."""
    return [QueueChanged(step=queue.step, paused=queue.paused, changed_at=queue.changed_at)]

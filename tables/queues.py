"""The state machine of a step's queue, pure: paused or not."""

from schemas.commands import PauseQueue, ResumeQueue
from schemas.jobs import Queue
from schemas.step_events import QueueChanged
from tables.bounds import MAX_OWNER_BYTES, clipped
from tables.effects import Effects


def queue_key(step: str) -> str:
    """Partition key of commands about a step's queue."""
    return f"queue:{step}"


def advance_queue(queue: Queue | None, event: PauseQueue | ResumeQueue, now: float) -> tuple[Queue, Effects]:
    """The queue after `event`, and its effects. A repeat returns the same object and the same effects."""
    paused = isinstance(event, PauseQueue)
    if queue is None or queue.paused != paused:
        queue = Queue(step=event.step, paused=paused, changed_at=now, changed_by=_author(event))
    return queue, queue_effects(queue)


def _author(event: PauseQueue | ResumeQueue) -> str | None:
    return None if event.requested_by is None else clipped(event.requested_by, MAX_OWNER_BYTES)


def queue_effects(queue: Queue) -> Effects:
    """All effects that a queue implies."""
    return [QueueChanged(step=queue.step, paused=queue.paused, changed_at=queue.changed_at)]

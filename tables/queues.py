"""The state of a step's queue, pure: paused or not, by command."""

from schemas.commands import PauseQueue, ResumeQueue
from schemas.jobs import Queue
from schemas.step_events import QueueChanged
from tables.bounds import MAX_OWNER_BYTES, clipped
from tables.effects import Effects


def queue_key(step: str) -> str:
    """What commands about a step's queue are partitioned by, as others are by their asset."""
    return f"queue:{step}"


def advance_queue(queue: Queue | None, event: PauseQueue | ResumeQueue, now: float) -> tuple[Queue, Effects]:
    """The queue after `event`, and what must be said. A repeat returns the same object, and says it again."""
    paused = isinstance(event, PauseQueue)
    if queue is None or queue.paused != paused:
        queue = Queue(step=event.step, paused=paused, changed_at=now, changed_by=_who(event))
    return queue, queue_standing(queue)


def _who(event: PauseQueue | ResumeQueue) -> str | None:
    return None if event.requested_by is None else clipped(event.requested_by, MAX_OWNER_BYTES)


def queue_standing(queue: Queue) -> Effects:
    """What stands about a queue."""
    return [QueueChanged(step=queue.step, paused=queue.paused, changed_at=queue.changed_at)]

"""Message types by wire name."""

from functools import cache

from schemas import audit, clock, commands, executors, facts, processes, queues, removals, step_events, uploads
from schemas.base import Message

_MODULES = (audit, clock, commands, executors, facts, processes, queues, removals, step_events, uploads)


@cache
def message_types() -> dict[str, type[Message]]:
    """Message classes by TYPE."""
    found = {
        cls.TYPE: cls
        for module in _MODULES
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Message) and "TYPE" in vars(cls)
    }
    return dict(sorted(found.items()))

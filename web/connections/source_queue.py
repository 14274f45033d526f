"""A queue of connections whose sources take turns."""

from collections import OrderedDict
from collections.abc import Callable

#: Goes on with a connection.
GoOn = Callable[[], None]


class SourceQueue:
    """Connections that wait, each in one place; a source that has had its turn comes last."""

    def __init__(self) -> None:
        #: By source; sources and their connections in the order of their turns.
        self._waiting: OrderedDict[str, OrderedDict[GoOn, None]] = OrderedDict()

    def __bool__(self) -> bool:
        """Whether any connection waits."""
        return bool(self._waiting)

    @property
    def first(self) -> str:
        """The source whose turn is next. Raises StopIteration when none waits."""
        return next(iter(self._waiting))

    def join(self, source: str, go_on: GoOn) -> None:
        """Wait for a turn. Joining twice is harmless."""
        self._waiting.setdefault(source, OrderedDict())[go_on] = None

    def leave(self, source: str, go_on: GoOn) -> None:
        """Give up the connection's place, if it has one."""
        connections = self._waiting.get(source, OrderedDict())
        connections.pop(go_on, None)
        if not connections:
            self._waiting.pop(source, None)

    def pop(self) -> GoOn | None:
        """Remove the connection whose turn it is; None when none waits."""
        if not self._waiting:
            return None
        source, connections = next(iter(self._waiting.items()))
        go_on, _ = connections.popitem(last=False)
        if connections:
            self._waiting.move_to_end(source)
        else:
            del self._waiting[source]
        return go_on

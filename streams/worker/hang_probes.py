"""Probes of a Faust app for the watchdog. They run in the watchdog's thread: they read state and never wait."""

import math
from collections.abc import Hashable
from typing import Any, Protocol

from streams.process.watchdog import LoopBeat, Watch
from streams.settings.log import Watchdog as Limits


class ProbedApp(Protocol):
    """The parts of a `KinologApp` that are probed; most are private to Faust and have no types."""

    commits_begun: int
    commits_ended: int
    #: Before that, a look at its parts would create them in the watchdog's thread, with an event loop of that thread.
    is_prepared: bool

    @property
    def rebalancing(self) -> bool:
        """Whether partitions are being assigned."""

    @property
    def on_partitions_assigned(self) -> Any:
        """Faust's signal at the end of a rebalance."""

    @property
    def agents(self) -> Any:
        """Faust's agents by name."""

    @property
    def consumer(self) -> Any:
        """Faust's consumer."""

    @property
    def tables(self) -> Any:
        """Faust's table manager."""

    @property
    def monitor(self) -> Any:
        """Faust's counters."""

    def may_wait(self) -> bool:
        """Whether records may stay unread for now, for a good reason."""


def watches(app: ProbedApp, beat: LoopBeat, limits: Limits) -> list[Watch]:
    """The hangs that Faust apps are known for, each with its time limit."""
    probes = Probes(app)
    return [
        Watch("event loop blocked", beat, limits.loop_s),
        Watch("rebalance does not end", probes.rebalance, limits.rebalance_s),
        Watch("table recovery makes no progress", probes.recovery, limits.recovery_s),
        Watch("records waiting, none processed", probes.lag, limits.lag_s),
        Watch("records processed, none committed", probes.commits, limits.lag_s),
    ]


def _readable_end(state: Any) -> int:
    """Offset after the last readable record: an open transaction holds back everything after it."""
    stable = state.lso if state.lso is not None and state.lso >= 0 else math.inf
    return int(min(state.highwater or 0, stable))


class Probes:
    """The progress of one app: each method returns a value that changes while the app moves, None while it is idle."""

    def __init__(self, app: ProbedApp) -> None:
        self._app = app
        self._joined = False
        app.on_partitions_assigned.connect(self._note_assignment)

    def rebalance(self) -> Hashable | None:
        """True during a rebalance, and from the start to the first assignment, but for the app's preparation."""
        if not self._app.is_prepared:
            return None
        return True if self._app.rebalancing or not self._joined else None

    def recovery(self) -> Hashable | None:
        """Number of rows left to read during table recovery."""
        if not self._app.is_prepared:
            return None
        recovery = self._app.tables.recovery
        return ("remaining", recovery.active_remaining_total()) if recovery.in_recovery else None

    def lag(self) -> Hashable | None:
        """Number of records fetched and processed, while there are more of either."""
        if not self._joined or not self._app.consumer.flow_active or self._app.may_wait():
            return None
        if not (self._app.consumer._unacked_messages or self._any_queued() or self._any_unfetched()):
            return None
        return self._app.monitor.messages_received_total, self._app.monitor.events_total

    def _any_queued(self) -> bool:
        """Whether records wait for an agent."""
        actors = [actor for agent in self._app.agents.values() for actor in agent._actors]
        return any(not actor.stream.channel.queue.empty() for actor in actors)

    def _any_unfetched(self) -> bool:
        """Whether the broker has unread records. By aiokafka's position: retention may have removed some."""
        assignment = self._app.consumer._thread._consumer._subscription.subscription.assignment
        states = [assignment.state_value(tp) for tp in self._sources()]
        return any(state.has_valid_position and state.position < _readable_end(state) for state in states)

    def commits(self) -> Hashable | None:
        """The running commit, or the committed offsets of partitions with acknowledged records after them."""
        if not self._joined:
            return None
        app, consumer = self._app, self._app.consumer
        if app.commits_begun != app.commits_ended:
            return "commit", app.commits_begun
        waiting = [tp for tp in self._sources() if consumer._acked.get(tp)]
        return tuple(sorted((*tp, consumer._committed_offset.get(tp) or -1) for tp in waiting)) or None

    def _sources(self) -> list[Any]:
        consumer = self._app.consumer
        return [tp for tp in list(consumer.assignment()) if not consumer._is_changelog_tp(tp)]

    def _note_assignment(self, *_: Any, **__: Any) -> None:
        self._joined = True

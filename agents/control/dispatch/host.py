"""DispatcherHost: runs the dispatcher while this process owns its partition.

There is one dispatcher for all steps and executors: a step may be in several lanes, and an executor's CPUs are shared
by all its steps. It belongs to the owner of one partition of `media.commands`: the group of control decides where it
runs. Rows of partitions of other control processes are read from the changelog.
"""

from collections.abc import Iterable, Set
from typing import Protocol

from agents.control.dispatch.active import ActiveDispatcher
from agents.control.job_tables import JobTables
from schemas.jobs import Job, Queue
from streams.kafka.partitioner import partition_of
from streams.settings import Settings
from streams.worker.app import KinologApp

#: Partition key of the dispatcher.
_KEY = "dispatcher"


class Dispatching(Protocol):
    """What control reports to the dispatcher."""

    @property
    def is_giving(self) -> bool | None:
        """Whether the dispatcher of this process gives; None: it has none."""

    def restart(self, tables: JobTables, owned: Set[int]) -> None:
        """The tables hold the rows of the `owned` partitions now."""

    def stop(self) -> None:
        """Partitions are being revoked."""

    def observe(self, changed: Iterable[Job | Queue], at: float) -> None:
        """Rows were changed, `at` the time of their record. Never raises."""

    def flush(self) -> None:
        """Give what can be given. Never raises."""


class DispatcherHost:
    """The dispatcher of this process, if it has one."""

    def __init__(self, app: KinologApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._partition = partition_of(_KEY, settings.partitions)
        self._active: ActiveDispatcher | None = None

    @property
    def is_giving(self) -> bool | None:
        """See Dispatching."""
        return self._active.is_giving if self._active is not None else None

    def restart(self, tables: JobTables, owned: Set[int]) -> None:
        """See Dispatching."""
        self.stop()
        if self._partition in owned:
            self._active = ActiveDispatcher(self._app, self._settings, tables, owned, tables.jobs.topic)
            self._active.start()

    def stop(self) -> None:
        """See Dispatching."""
        if self._active is not None:
            self._active.stop()
            self._active = None

    def observe(self, changed: Iterable[Job | Queue], at: float) -> None:
        """See Dispatching."""
        if self._active is not None:
            self._active.observe(changed, at)

    def flush(self) -> None:
        """See Dispatching."""
        if self._active is not None:
            self._active.flush()

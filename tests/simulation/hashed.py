"""The placement before the dispatcher, for comparison and calibration."""

from collections import deque
from collections.abc import Callable

from schemas.executors import ExecutorReport
from tables.dispatch.values import AttemptKey, Give, ReadyStep, Turn
from tests.simulation.executor import SimExecutor
from tests.simulation.placement import Site
from tests.simulation.work import KINDS


class Hashed:
    """Today's rule: a request lies on the partition of its hash; an executor takes what lies on its partitions."""

    def __init__(self, site: Site, partition_of: Callable[[ReadyStep], int], partitions: int) -> None:
        self._engine, self._network, self._rows, executors = site
        self._partition_of = partition_of
        #: As the round robin of a consumer group hands them out.
        self._owners = [list(executors.values())[number % len(executors)] for number in range(partitions)]
        #: By executor and step.
        self._queues: dict[str, dict[str, deque[ReadyStep]]] = {name: {} for name in executors}

    def ready(self, step: ReadyStep) -> None:
        owner = self._owners[self._partition_of(step)]
        self._engine.at(self._engine.now + self._network.delay_s(), self._arrive, owner, step)

    def _arrive(self, executor: SimExecutor, step: ReadyStep) -> None:
        self._queues[executor.name].setdefault(step.step, deque()).append(step)
        self.finished(executor, step.step)

    def finished(self, executor: SimExecutor, step: str) -> None:
        """Take what comes next of each step for which there is room: heavy ones only while nobody has the CPUs."""
        for name, queue in self._queues[executor.name].items():
            while queue and self._has_room(executor, name):
                self._request(executor, queue.popleft())

    def _request(self, executor: SimExecutor, ready: ReadyStep) -> None:
        turn: Turn = "full" if KINDS[ready.step].heavy else ""
        given = Give(executor.session_id, 0, ready.job_id, ready.step, ready.run, ready.attempt, turn)
        executor.request(given, self._rows.jobs[ready.job_id].asset_id)

    def _has_room(self, executor: SimExecutor, step: str) -> bool:
        if KINDS[step].heavy and any(KINDS[key[2]].heavy for key in executor.accepted):
            return False
        return sum(key[2] == step for key in executor.accepted) < executor.slots[step]

    def accepted(self, step: ReadyStep, session_id: str) -> None:
        """Nothing: nobody decides."""

    def ended(self, key: AttemptKey, completed: bool) -> None:
        """Nothing: nobody decides."""

    def refused(self, key: AttemptKey, session_id: str, seq: int) -> None:
        """Nobody is asked who has no slot."""

    def reported(self, report: ExecutorReport, at: float) -> None:
        """Nobody reads them."""

    def flush(self) -> None:
        """Nothing is held back."""

"""What gives ready steps to executors: the dispatcher, or a hash over partitions."""

from typing import NamedTuple, Protocol

from schemas.executors import ExecutorReport
from tables.dispatch.values import AttemptKey, ReadyStep
from tests.simulation.engine import Engine, Network
from tests.simulation.executor import SimExecutor
from tests.simulation.rows import Rows


class Site(NamedTuple):
    """What a placement works with."""

    engine: Engine
    network: Network
    rows: Rows
    executors: dict[str, SimExecutor]


class Placement(Protocol):
    """Learns of every ready step, and sees to it that an executor gets it."""

    def ready(self, step: ReadyStep) -> None: ...
    def accepted(self, step: ReadyStep, session_id: str) -> None: ...
    def ended(self, key: AttemptKey, completed: bool) -> None: ...
    def refused(self, key: AttemptKey, session_id: str, seq: int) -> None: ...
    def reported(self, report: ExecutorReport, at: float) -> None: ...
    def flush(self) -> None: ...
    def finished(self, executor: SimExecutor, step: str) -> None: ...

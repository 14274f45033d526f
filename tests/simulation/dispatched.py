"""The placement by the real dispatcher, which lives in one of the simulated controls."""

from collections.abc import Callable

from schemas.executors import ExecutorReport
from schemas.jobs import Job, Step
from tables.dispatch.dispatcher import Dispatcher
from tables.dispatch.history import History
from tables.dispatch.values import AttemptKey, Give, ReadyStep, Rules
from tests.simulation.executor import SimExecutor
from tests.simulation.placement import Site
from tests.simulation.work import KINDS


class Dispatched:
    """The real dispatcher, in one of the controls; news of jobs of the others come to it over the log."""

    def __init__(self, site: Site, rules: Rules, ready_of: Callable[[Job, Step], ReadyStep]) -> None:
        self._engine, self._network, self._rows, self._executors = site
        self._rules, self._ready_of = rules, ready_of
        self.control = self.number = 0
        self.dispatcher: Dispatcher | None = None
        self._history = History()
        #: The compacted topic.
        self._reports: dict[str, tuple[ExecutorReport, float]] = {}
        self._ends: list[int] | None = None
        self._wakes_at = float("inf")
        #: Called after the next gives: the worst moment for a control to die.
        self.doomed: Callable[[], None] | None = None

    def start(self, control: int) -> None:
        """A new dispatcher: rows, reports, pokes; see tables/dispatch/startup.py."""
        self.control, self.number, self._ends = control, self.number + 1, None
        dispatcher = self.dispatcher = Dispatcher(KINDS, self._rules, self.number, self._history)
        now = self._engine.now
        for report, at in self._reports.values():
            dispatcher.report(report, at, now)
        for job in self._rows.jobs.values():
            for step in job.steps:
                if step.status == "waiting" and step.requested_at is not None:
                    dispatcher.ready(self._ready_of(job, step), now)
                elif step.status == "active" and step.lease is not None:
                    dispatcher.accepted(self._ready_of(job, step), step.lease.id.partition("#")[0], now)
        for poke in dispatcher.begin(now):
            executor = self._executors[poke.session_id.partition("/")[0]]
            self._engine.at(now + self._network.delay_s(), executor.poked, poke.session_id, poke.number)
        self._wakes_at = float("inf")
        self.flush()

    def stop(self) -> None:
        """The control that it lives in has died."""
        self.dispatcher = None

    # News

    def ready(self, step: ReadyStep) -> None:
        self._tell(step.job_id, self._ready, step)

    def _ready(self, dispatcher: Dispatcher, step: ReadyStep) -> None:
        dispatcher.ready(step, self._engine.now)

    def accepted(self, step: ReadyStep, session_id: str) -> None:
        self._tell(step.job_id, self._accepted, step, session_id)

    def _accepted(self, dispatcher: Dispatcher, step: ReadyStep, session_id: str) -> None:
        dispatcher.accepted(step, session_id, self._engine.now)

    def ended(self, key: AttemptKey, completed: bool) -> None:
        self._tell(key[0], self._ended, key, completed)

    def _ended(self, dispatcher: Dispatcher, key: AttemptKey, completed: bool) -> None:
        dispatcher.ended(key, self._engine.now, completed=completed)

    def refused(self, key: AttemptKey, session_id: str, seq: int) -> None:
        self._tell(key[0], self._refused, key, session_id, seq)

    def _refused(self, dispatcher: Dispatcher, key: AttemptKey, session_id: str, seq: int) -> None:
        dispatcher.refused(key, session_id, seq)

    def reported(self, report: ExecutorReport, at: float) -> None:
        self._reports[report.executor_id] = (report, at)
        if self.dispatcher is None:
            return
        for job_id, run, name, attempt in self.dispatcher.report(report, at, self._engine.now):
            step = next(step for step in self._rows.jobs[job_id].steps if step.spec.name == name)
            if step.lease is not None and (step.run, step.attempt, step.status) == (run, attempt, "active"):
                self._rows.expire(self._rows.jobs[job_id], step)
        self.flush()

    def finished(self, executor: SimExecutor, step: str) -> None:
        """Nothing: the events say so."""

    def _tell(self, job_id: str, call: Callable[..., None], *args: object) -> None:
        if self._rows.partition_of(job_id).owner != self.control:
            self._engine.at(self._engine.now + self._network.delay_s(), self._tell_late, call, args)
        elif self.dispatcher is not None:
            call(self.dispatcher, *args)

    def _tell_late(self, call: Callable[..., None], args: tuple[object, ...]) -> None:
        if self.dispatcher is not None:  # a new one reads the rows
            call(self.dispatcher, *args)
            self.flush()

    # Gives

    def flush(self) -> None:
        dispatcher, now = self.dispatcher, self._engine.now
        if dispatcher is None:
            return
        if dispatcher.phase == "reading":
            self._read_to_end(dispatcher)
        gives = dispatcher.give(now)
        for given in gives:
            hops = 1 if self._rows.partition_of(given.job_id).owner == self.control else 2
            delay_s = sum(self._network.delay_s() for _ in range(hops))
            self._engine.at(now + delay_s, self._request, given, self.number)
        if gives and self.doomed is not None:
            doomed, self.doomed = self.doomed, None
            self._engine.at(now, doomed)
        wake = dispatcher.next_wake()
        if wake is not None and wake < self._wakes_at:
            self._wakes_at = wake
            self._engine.at(wake, self._wake, dispatcher, wake)

    def _read_to_end(self, dispatcher: Dispatcher) -> None:
        partitions = self._rows.partitions
        if self._ends is None:
            self._ends = [partition.published for partition in partitions]
        if all(partition.applied >= end for partition, end in zip(partitions, self._ends, strict=True)):
            dispatcher.caught_up()

    def _wake(self, dispatcher: Dispatcher, wake: float) -> None:
        if dispatcher is self.dispatcher and wake == self._wakes_at:
            self._wakes_at = float("inf")
            dispatcher.tick(self._engine.now)
            self.flush()

    def _request(self, given: Give, number: int) -> None:
        executor = self._executors[given.session_id.partition("/")[0]]
        if number >= executor.poke:  # of a dispatcher that was replaced
            executor.request(given, self._rows.jobs[given.job_id].asset_id)

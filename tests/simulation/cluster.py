"""A simulated installation: jobs, controls, executors, and what goes wrong with them."""

from collections.abc import Callable, Iterable
from random import Random

import msgspec

from schemas.base import Message
from schemas.executors import ExecutorReport
from schemas.jobs import JOB_ENDED, Job, Step
from schemas.step_events import AttemptAccepted, AttemptCompleted, LeaseRevoked, StepEvent, StepRequested
from streams.kafka.partitioner import partition_of
from tables.dispatch.values import AttemptKey, ReadyStep, Rules
from tests.simulation.dispatched import Dispatched
from tests.simulation.engine import Engine, Network
from tests.simulation.executor import Running, SimExecutor
from tests.simulation.hashed import Hashed
from tests.simulation.measures import Measures, Result
from tests.simulation.placement import Placement, Site
from tests.simulation.rows import Partition, Rows
from tests.simulation.work import KINDS, JobPlan

#: Seconds until another control has taken over what one that died had: session, rebalance, recovery.
TAKEOVER_S = 7.0
_RESTART_S = 3.0
_DRAIN_S = 5.0
#: By how much a control that takes over reads its partitions later than it starts the dispatcher.
_LATE_S = 0.4
#: When the first job is submitted: executors have reported by then.
SUBMIT_FROM_S = 1.0


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What is installed, and what goes wrong."""

    executors: int
    controls: int = 1
    #: Partitions of the log; and of today's request topics.
    partitions: int = 8
    #: Slots of each step; unset: the steps' own.
    slots: dict[str, int] | None = None
    rules: Rules = Rules()
    #: Share of the executors that die once, and of those that come back after a while.
    deaths: float = 0.0
    revivals: float = 0.5
    #: Share of the executors that join late, and that drain and go.
    joins: float = 0.0
    drains: float = 0.0
    #: How often the control with the dispatcher is killed.
    control_kills: int = 0
    #: Shares of reports that never come, and that come seconds late.
    reports_lost: float = 0.0
    reports_late: float = 0.0
    #: Seconds within which all this happens.
    trouble_s: float = 60.0
    #: Whether requests are placed by hash, as before the dispatcher.
    hashed: bool = False


class Cluster:
    """One run. The same shape, jobs and seed give the same run."""

    def __init__(self, shape: Shape, plans: Iterable[JobPlan], seed: int) -> None:
        self.shape, self._random = shape, Random(seed)
        self.engine, self.network = Engine(), Network(self._random)
        self.plans = {plan.id: plan for plan in plans}
        self.rows = Rows(self.engine, self.network, shape.partitions, self._applied, replay=shape.control_kills > 0)
        slots = shape.slots or {name: kind.slots for name, kind in KINDS.items()}
        names = [f"x{number:04}" for number in range(shape.executors)]
        self.executors = {name: SimExecutor(self, name, n % 64, slots) for n, name in enumerate(names)}
        self.measures = Measures(self.plans, shape.rules.weights, shape.executors)
        self.placement = self._placement()
        self._unfinished = len(self.plans)

    def run(self, limit_s: float = 1e6) -> Result:
        """Run until every job has ended."""
        for number, partition in enumerate(self.rows.partitions):
            partition.owner = number % self.shape.controls
        self._start_executors()
        if isinstance(self.placement, Dispatched):
            self.engine.at(0.1, self.placement.start, 0)
        for plan in self.plans.values():
            self.engine.at(SUBMIT_FROM_S + plan.at, self._submit, plan)
        self._plan_trouble()
        self.engine.run(limit_s)
        return self.measures.result(SUBMIT_FROM_S)

    # What executors need

    def publish(self, job_id: str, event: Message, session_id: str) -> None:
        self.rows.publish(job_id, event)

    def refuse(self, key: AttemptKey, session_id: str, seq: int) -> None:
        self.measures.refused += 1
        self.engine.at(self.engine.now + self.network.delay_s(), self._refused, key, session_id, seq)

    def _refused(self, key: AttemptKey, session_id: str, seq: int) -> None:
        self.placement.refused(key, session_id, seq)
        self.placement.flush()

    def reported(self, report: ExecutorReport) -> None:
        chance, delay_s = self._random.random(), self.network.delay_s()
        if chance < self.shape.reports_lost:
            return
        if chance > 1.0 - self.shape.reports_late:
            delay_s += self._random.uniform(0.5, 5.0)
        self.engine.at(self.engine.now + delay_s, self.placement.reported, report, self.engine.now)

    def takes_s(self, job_id: str, step: str) -> float:
        return self.plans[job_id].takes_s[step]

    def began(self, executor: SimExecutor, running: Running) -> None:
        self.measures.began(executor, running, self.engine.now)

    def finished(self, executor: SimExecutor, running: Running) -> None:
        self.measures.finished(executor, running, self.engine.now)
        self.placement.finished(executor, running.key[2])

    def left(self, executor: SimExecutor) -> None:
        self.measures.left(executor)

    # The log

    def _submit(self, plan: JobPlan) -> None:
        self.rows.publish(plan.id, plan.command())

    def _applied(self, event: Message, before: Job | None, after: Job, effects: list[Message]) -> None:
        """Control has applied an event: tell the placement, deliver the effects."""
        self.measures.events += 1
        if after is not before and isinstance(event, StepEvent):
            self._tell(event, after)
        for effect in effects:
            if isinstance(effect, StepRequested):
                step = _step(after, effect.step)
                self.measures.ready((effect.job_id, effect.step), self.engine.now)
                self.placement.ready(self._ready_of(after, step))
            elif isinstance(effect, LeaseRevoked):
                self._revoke(effect)
            else:
                self.measures.said(effect, self.engine.now)
        self.placement.flush()
        if after.status in JOB_ENDED and before is not None and before.status not in JOB_ENDED:
            self._unfinished -= 1
            if not self._unfinished:
                self.engine.stop()

    def _tell(self, event: StepEvent, job: Job) -> None:
        if isinstance(event, AttemptAccepted):
            self.placement.accepted(self._ready_of(job, _step(job, event.step)), event.lease_id.partition("#")[0])
        else:
            key = (event.job_id, event.run, event.step, event.attempt)
            self.placement.ended(key, isinstance(event, AttemptCompleted))

    def _ready_of(self, job: Job, step: Step) -> ReadyStep:
        plan, name = self.plans[job.id], step.spec.name
        return ReadyStep(
            job_id=job.id,
            step=name,
            run=step.run,
            attempt=step.attempt,
            since=job.created_at,
            priority=job.priority,
            owner=job.owner,
            size=plan.size(name),
        )

    def _revoke(self, revoked: LeaseRevoked) -> None:
        executor = self.executors[revoked.lease_id.partition("/")[0]]
        self.engine.at(self.engine.now + self.network.delay_s(), executor.revoke, revoked.lease_id)

    # Trouble

    def _placement(self) -> Placement:
        site = Site(self.engine, self.network, self.rows, self.executors)
        if self.shape.hashed:
            return Hashed(site, self._hash_of, self.shape.partitions)
        return Dispatched(site, self.shape.rules, self._ready_of)

    def _hash_of(self, step: ReadyStep) -> int:
        """The partition of a request: a recorded one, or that of its key."""
        known = self.plans[step.job_id].partition
        return partition_of(f"{step.job_id}/{step.step}", self.shape.partitions) if known is None else known

    def _start_executors(self) -> None:
        late = round(self.shape.joins * len(self.executors))
        for number, executor in enumerate(self.executors.values()):
            joins_at = SUBMIT_FROM_S + self._random.uniform(0.0, self.shape.trouble_s) if number < late else 0.0
            self.engine.at(joins_at, executor.begin)

    def _plan_trouble(self) -> None:
        """Of different executors: some die, some drain; the first stays, so that there is always one."""
        names = list(self.executors)[1:]
        self._random.shuffle(names)
        deaths, drains = (round(share * len(self.executors)) for share in (self.shape.deaths, self.shape.drains))
        for name in names[:deaths]:
            self._some_time(self._kill, self.executors[name])
        for name in names[deaths : deaths + drains]:
            self._some_time(self._drain, self.executors[name])
        for _ in range(self.shape.control_kills):
            self._some_time(self._doom_control)

    def _some_time(self, call: Callable[..., None], *args: object) -> None:
        self.engine.at(SUBMIT_FROM_S + self._random.uniform(0.0, self.shape.trouble_s), call, *args)

    def _drain(self, executor: SimExecutor) -> None:
        if executor.alive:
            executor.drain(_DRAIN_S)

    def _kill(self, executor: SimExecutor) -> None:
        if not executor.alive:
            return  # it has not joined yet
        self.measures.left(executor)
        executor.die()
        if self._random.random() < self.shape.revivals:
            self.engine.at(self.engine.now + self._random.uniform(1.0, 60.0), executor.begin)

    def _doom_control(self) -> None:
        if isinstance(self.placement, Dispatched):
            self.placement.doomed = self._kill_control

    def _kill_control(self) -> None:
        """The control with the dispatcher dies; another one takes over, or it comes back itself."""
        placement, owned = self.placement, [p for p in self.rows.partitions if p.is_owned]
        assert isinstance(placement, Dispatched)
        died = placement.control
        mine = [partition for partition in owned if partition.owner == died]
        placement.stop()
        for partition in mine:
            self.rows.lose(partition)
        heir, after_s = (
            (died, _RESTART_S) if self.shape.controls == 1 else ((died + 1) % self.shape.controls, TAKEOVER_S)
        )
        self.engine.at(self.engine.now + after_s, self._take_over, mine, heir)

    def _take_over(self, partitions: list[Partition], heir: int) -> None:
        assert isinstance(self.placement, Dispatched)
        self.placement.start(heir)
        for partition in partitions:
            partition.owner = heir
            self.engine.at(self.engine.now + _LATE_S, self.rows.take_over, partition)


def _step(job: Job, name: str) -> Step:
    return next(step for step in job.steps if step.spec.name == name)

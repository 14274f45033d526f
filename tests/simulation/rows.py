"""The jobs' rows and the log that changes them: partitions in order, the real reducer, leases, retries."""

from collections import deque
from collections.abc import Callable
from typing import Any

from schemas.base import Message
from schemas.jobs import Job, Step
from schemas.step_events import AttemptHeartbeat, LeaseExpired, RetryDue, StepEvent
from tables.reducer import advance
from tests.simulation.engine import Engine, Network

LEASE_TTL_S = 45.0
#: What was applied within the last second is not committed yet: whoever takes over applies it again.
COMMIT_S = 1.0
#: The clock of a control that is down goes on when another one has taken over.
_CLOCK_S = 1.0

#: (event, the job before, the job after, effects).
Applied = Callable[[Message, Job | None, Job, list[Message]], None]


class Partition:
    """One partition of the log, and whether a control applies it."""

    def __init__(self) -> None:
        self.owner = 0
        self.is_owned = True
        self.published = self.applied = 0
        self.arrives_at = self.grace_from = 0.0
        self.backlog: deque[Message] = deque()
        self.recent: deque[tuple[float, Message]] = deque()


class Rows:
    """The table `jobs`, and what is written to it."""

    def __init__(self, engine: Engine, network: Network, partitions: int, applied: Applied, *, replay: bool) -> None:
        self._engine, self._network, self._applied, self._replay = engine, network, applied, replay
        self.partitions = [Partition() for _ in range(partitions)]
        self.jobs: dict[str, Job] = {}
        self._beats: dict[str, float] = {}

    def partition_of(self, job_id: str) -> Partition:
        """The partition of the job's asset."""
        return self.partitions[int(job_id[4:]) % len(self.partitions)]

    def publish(self, job_id: str, event: Message) -> None:
        """Write an event to the log; it arrives in the order of its partition."""
        partition = self.partition_of(job_id)
        partition.published += 1
        partition.arrives_at = max(partition.arrives_at, self._engine.now + self._network.delay_s())
        self._engine.at(partition.arrives_at, self._arrive, partition, event)

    def lose(self, partition: Partition) -> None:
        """The control that applies it has died."""
        partition.is_owned = False

    def take_over(self, partition: Partition) -> None:
        """Its owner applies it from now on: again what was not committed, then what has come meanwhile."""
        partition.is_owned, partition.grace_from = True, self._engine.now
        for _, event in list(partition.recent):
            self._apply(event)
        backlog, partition.backlog = partition.backlog, deque()
        for event in backlog:
            self._arrive(partition, event)

    def _arrive(self, partition: Partition, event: Message) -> None:
        if not partition.is_owned:
            partition.backlog.append(event)
            return
        partition.applied += 1
        if self._replay:
            partition.recent.append((self._engine.now, event))
            while partition.recent[0][0] < self._engine.now - COMMIT_S:
                partition.recent.popleft()
        self._apply(event)

    def _apply(self, event: Any) -> None:
        if type(event) is AttemptHeartbeat:
            self._beats[event.lease_id] = self._engine.now
        before = self.jobs.get(event.job_id)
        after, effects = advance(before, event, self._engine.now)
        assert isinstance(after, Job), "only jobs that were submitted are spoken of"
        self.jobs[event.job_id] = after
        if after is not before:
            self._watch(event, after)
        self._applied(event, before, after, effects)

    def _watch(self, event: Message, job: Job) -> None:
        """Enter what the step that the event speaks of waits for."""
        if not isinstance(event, StepEvent):
            return
        step = _step(job, event.step)
        if step.status == "delayed":
            self._engine.at(step.due_at or 0.0, self._retry, job.id, step)
        elif step.status == "active" and step.lease is not None:
            self._engine.at(self._engine.now + LEASE_TTL_S, self._check, job.id, step)

    def _retry(self, job_id: str, step: Step) -> None:
        job = self.jobs[job_id]
        if _step(job, step.spec.name) is not step:
            return
        if not self.partition_of(job_id).is_owned:
            self._engine.at(self._engine.now + _CLOCK_S, self._retry, job_id, step)
            return
        self.publish(job_id, RetryDue(**_about(job, step)))

    def _check(self, job_id: str, step: Step) -> None:
        """Whether the lease was renewed in time."""
        job, partition = self.jobs[job_id], self.partition_of(job_id)
        current, lease = _step(job, step.spec.name), step.lease
        if lease is None or current.status != "active" or current.lease != lease:
            if lease is not None:
                self._beats.pop(lease.id, None)
            return
        renewed_at = max(lease.accepted_at, self._beats.get(lease.id, 0.0), partition.grace_from)
        due_at = renewed_at + LEASE_TTL_S if partition.is_owned else self._engine.now + _CLOCK_S
        if due_at > self._engine.now:
            self._engine.at(due_at, self._check, job_id, step)
            return
        self.expire(job, step)

    def expire(self, job: Job, step: Step) -> None:
        """The lease was not renewed in time, or its holder is known to be gone."""
        assert step.lease is not None
        event = LeaseExpired(**_about(job, step), lease_id=step.lease.id, decided_at=self._engine.now)
        self.publish(job.id, event)


def _step(job: Job, name: str) -> Step:
    return next(step for step in job.steps if step.spec.name == name)


def _about(job: Job, step: Step) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "asset_id": job.asset_id,
        "run": step.run,
        "step": step.spec.name,
        "attempt": step.attempt,
    }

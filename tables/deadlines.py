"""Deadlines of steps: a heap that is rebuilt from the rows, and the events for what is due.

A lost entry is restored by the next rebuild; an outdated entry is ignored here and by the reducer. So two processes
with the same deadlines, or a lost tick, are harmless.
"""

import heapq
from typing import NamedTuple

from schemas.jobs import JOB_ENDED, Job, Lease, Step
from schemas.step_events import AttemptHeartbeat, JobDue, LeaseExpired, RetryDue, StepEvent
from streams.settings.log import LeaseTimes
from tables.scheduling import is_scheduled

#: Seconds after which an event is sent again that the reducer has not applied.
_RESEND_S = 5.0
#: The heap is rebuilt when it has this many entries more than twice the current ones.
_MIN_COMPACT = 1_000

#: Job id and step name; the start of a job that is to start later has no step name.
_StepKey = tuple[str, str]
_START = ""


class _Renewal(NamedTuple):
    lease_id: str
    at: float
    progress: float


class Deadlines:
    """The deadlines of the jobs that this process owns. Lease renewals are known in memory only."""

    def __init__(self, lease: LeaseTimes) -> None:
        self._lease = lease
        self._heap: list[tuple[float, _StepKey]] = []
        self._scheduled: dict[_StepKey, float] = {}
        self._renewals: dict[_StepKey, _Renewal] = {}
        self._grace_from = 0.0

    def __len__(self) -> int:
        """Number of steps that have a deadline."""
        return len(self._scheduled)

    def restart(self, now: float) -> None:
        """Remove everything, and give every lease a grace period of one TTL. `watch` every job afterwards."""
        self._heap.clear()
        self._scheduled.clear()
        self._renewals.clear()
        self._grace_from = now

    def grant_grace(self, now: float) -> None:
        """Give every lease a grace period of one TTL: leases could not be renewed for a while."""
        self._grace_from = now

    def watch(self, job: Job) -> None:
        """Update the deadlines of a changed job."""
        if job.run_at is not None:
            if is_scheduled(job):
                self._schedule((job.id, _START), job.run_at)
            else:
                self._forget((job.id, _START))
        for step in job.steps:
            step_key = (job.id, step.spec.name)
            if job.status in JOB_ENDED or not _waits(step):
                self._forget(step_key)
                continue
            self._schedule(step_key, self._due_at(step_key, step))
        self._compact()

    def renew(self, beat: AttemptHeartbeat, now: float) -> None:
        """Renew a lease."""
        self._renewals[beat.job_id, beat.step] = _Renewal(beat.lease_id, now, beat.progress)

    def next_due(self, now: float) -> _StepKey | None:
        """Remove and return (job id, step name) of the earliest due entry; None when nothing is due."""
        while self._heap and self._heap[0][0] <= now:
            due_at, step_key = heapq.heappop(self._heap)
            if self._scheduled.get(step_key) == due_at:
                del self._scheduled[step_key]
                return step_key
        return None

    def event_for(self, job: Job, step_name: str, now: float) -> StepEvent | JobDue | None:
        """The event that is due for the step, if any, or for the start of the job. It is scheduled again."""
        if step_name == _START:
            return self._start_of(job, now)
        step = next((s for s in job.steps if s.spec.name == step_name), None)
        if step is None or job.status in JOB_ENDED or not _waits(step):
            return None
        step_key = (job.id, step_name)
        due_at = self._due_at(step_key, step)
        self._schedule(step_key, due_at if due_at > now else now + _RESEND_S)
        progress = self._renewal(step_key, step.lease).progress if step.lease is not None else 0.0
        return _event(job, step, progress, now) if due_at <= now else None

    def _start_of(self, job: Job, now: float) -> JobDue | None:
        if not is_scheduled(job) or job.run_at is None:
            return None
        is_due = job.run_at <= now
        self._schedule((job.id, _START), now + _RESEND_S if is_due else job.run_at)
        return JobDue(job_id=job.id, asset_id=job.asset_id) if is_due else None

    def _due_at(self, step_key: _StepKey, step: Step) -> float:
        if step.status == "delayed":
            return step.due_at or 0.0
        assert step.lease is not None, "an active step has a lease"
        renewed_at = self._renewal(step_key, step.lease).at
        return max(step.lease.accepted_at, renewed_at, self._grace_from) + self._lease.ttl_s

    def _renewal(self, step_key: _StepKey, lease: Lease) -> _Renewal:
        known = self._renewals.get(step_key)
        return known if known is not None and known.lease_id == lease.id else _Renewal(lease.id, 0.0, 0.0)

    def _schedule(self, step_key: _StepKey, due_at: float) -> None:
        """Add an entry. An earlier one is kept: when it is due, the step is checked and scheduled again."""
        if self._scheduled.get(step_key, due_at + 1) > due_at:
            self._scheduled[step_key] = due_at
            heapq.heappush(self._heap, (due_at, step_key))

    def _forget(self, step_key: _StepKey) -> None:
        self._scheduled.pop(step_key, None)
        self._renewals.pop(step_key, None)

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._scheduled) + _MIN_COMPACT:
            self._heap = [(due_at, step_key) for step_key, due_at in self._scheduled.items()]
            heapq.heapify(self._heap)


def _waits(step: Step) -> bool:
    """Whether the step has a deadline."""
    return step.status == "delayed" or (step.status == "active" and step.lease is not None)


def _event(job: Job, step: Step, progress: float, now: float) -> StepEvent:
    fields = {
        "job_id": job.id,
        "asset_id": job.asset_id,
        "run": step.run,
        "step": step.spec.name,
        "attempt": step.attempt,
    }
    if step.status == "delayed":
        return RetryDue(**fields)  # type: ignore[arg-type]  # the keys are RetryDue's own
    lease_id = step.lease.id if step.lease is not None else ""
    return LeaseExpired(**fields, lease_id=lease_id, progress=progress, decided_at=now)  # type: ignore[arg-type]  # likewise

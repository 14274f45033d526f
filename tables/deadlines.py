"""Deadlines of steps: a heap that is rebuilt from the rows, and the events for what is due.

A lost entry is restored by the next rebuild; an outdated entry is ignored here and by the reducer. So two processes
with the same deadlines, or a lost tick, are harmless.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from schemas.jobs import JOB_ENDED, Job, Lease, Step
from schemas.step_events import AttemptAccepted, AttemptHeartbeat, Claim, DispatchDue, LeaseExpired, RetryDue, StepEvent
from streams.settings import Dispatch, LeaseTimes

#: Seconds after which an event is sent again that the reducer has not applied.
_RESEND_S = 5.0
#: Longest dispatch deadline, seconds; it doubles with every dispatch.
_MAX_DISPATCH_S = 86_400.0
#: The heap is rebuilt when it has this many entries more than twice the current ones.
_MIN_COMPACT = 1_000

#: (job, step name) -> number of the request queue of the step.
RequestQueue = Callable[[Job, str], int]
_StepKey = tuple[str, str]


class _Renewal(NamedTuple):
    lease_id: str
    at: float
    progress: float


class Deadlines:
    """The deadlines of the jobs that this process owns. Lease renewals and lost requests are known in memory only."""

    def __init__(self, lease: LeaseTimes, dispatch: Dispatch, request_queue: RequestQueue) -> None:
        self._lease, self._dispatch, self._request_queue = lease, dispatch, request_queue
        self._heap: list[tuple[float, _StepKey]] = []
        self._scheduled: dict[_StepKey, float] = {}
        self._renewals: dict[_StepKey, _Renewal] = {}
        self._grace_from = 0.0
        self._queues: dict[tuple[str, int], OrderedDict[_StepKey, float]] = {}
        #: The queue of each requested step.
        self._queue_of: dict[_StepKey, tuple[str, int]] = {}
        self._overtaken: dict[_StepKey, float] = {}

    def __len__(self) -> int:
        """Number of steps that have a deadline."""
        return len(self._scheduled)

    def restart(self, now: float) -> None:
        """Remove everything, and give every lease a grace period of one TTL. `watch` every job afterwards."""
        self._heap.clear()
        for known in (self._scheduled, self._renewals, self._queues, self._queue_of, self._overtaken):
            known.clear()
        self._grace_from = now

    def grant_grace(self, now: float) -> None:
        """Give every lease a grace period of one TTL: leases could not be renewed for a while."""
        self._grace_from = now

    def watch(self, job: Job) -> None:
        """Update the deadlines of a changed job."""
        for step in job.steps:
            step_key = (job.id, step.spec.name)
            if job.status in JOB_ENDED or not _waits(step):
                self._forget(step_key)
                continue
            if step.status == "waiting":
                queue = self._request_queue(job, step.spec.name)
                self._enqueue(step_key, (step.spec.name, queue), step.requested_at or 0.0)
            self._schedule(step_key, self._due_at(step_key, step))
        self._compact()

    def renew(self, beat: AttemptHeartbeat, now: float) -> None:
        """Renew a lease."""
        self._renewals[beat.job_id, beat.step] = _Renewal(beat.lease_id, now, beat.progress)

    def accepted(self, event: StepEvent, claim: AttemptAccepted | Claim, now: float) -> None:
        """Note that a request was accepted. A request partition is FIFO: earlier requests in it that are not accepted
        within `overtaken_s` are lost.
        """
        step_key = (event.job_id, event.step)
        self._dequeue(step_key)
        queue = self._queues.get((event.step, claim.request_partition), OrderedDict())
        while queue:
            other, requested_at = next(iter(queue.items()))
            if requested_at >= claim.requested_at:
                break
            self._dequeue(other)
            self._overtaken[other] = now + self._dispatch.overtaken_s
            self._schedule(other, self._overtaken[other])

    def next_due(self, now: float) -> _StepKey | None:
        """Remove and return (job id, step name) of the earliest due entry; None when nothing is due."""
        while self._heap and self._heap[0][0] <= now:
            due_at, step_key = heapq.heappop(self._heap)
            if self._scheduled.get(step_key) == due_at:
                del self._scheduled[step_key]
                return step_key
        return None

    def event_for(self, job: Job, step_name: str, now: float) -> StepEvent | None:
        """The event that is due for the step, if any. The step is scheduled again."""
        step = next((s for s in job.steps if s.spec.name == step_name), None)
        if step is None or job.status in JOB_ENDED or not _waits(step):
            return None
        step_key = (job.id, step_name)
        due_at = self._due_at(step_key, step)
        self._schedule(step_key, due_at if due_at > now else now + _RESEND_S)
        progress = self._renewal(step_key, step.lease).progress if step.lease is not None else 0.0
        return _event(job, step, progress, now) if due_at <= now else None

    def _due_at(self, step_key: _StepKey, step: Step) -> float:
        if step.status == "delayed":
            return step.due_at or 0.0
        if step.lease is not None:
            return (
                max(step.lease.accepted_at, self._renewal(step_key, step.lease).at, self._grace_from)
                + self._lease.ttl_s
            )
        waited_s = min(self._dispatch.deadline_s * 2.0 ** (step.dispatches - 1), _MAX_DISPATCH_S)
        deadline = (step.requested_at or 0.0) + waited_s
        return min(deadline, self._overtaken.get(step_key, deadline))

    def _renewal(self, step_key: _StepKey, lease: Lease) -> _Renewal:
        known = self._renewals.get(step_key)
        return known if known is not None and known.lease_id == lease.id else _Renewal(lease.id, 0.0, 0.0)

    def _enqueue(self, step_key: _StepKey, queue: tuple[str, int], requested_at: float) -> None:
        """Append to the unaccepted requests of one queue."""
        self._dequeue(step_key)
        self._queue_of[step_key] = queue
        self._queues.setdefault(queue, OrderedDict())[step_key] = requested_at

    def _dequeue(self, step_key: _StepKey) -> None:
        self._overtaken.pop(step_key, None)
        queue = self._queue_of.pop(step_key, None)
        if queue is not None:
            del self._queues[queue][step_key]

    def _schedule(self, step_key: _StepKey, due_at: float) -> None:
        """Add an entry. An earlier one is kept: when it is due, the step is checked and scheduled again."""
        if self._scheduled.get(step_key, due_at + 1) > due_at:
            self._scheduled[step_key] = due_at
            heapq.heappush(self._heap, (due_at, step_key))

    def _forget(self, step_key: _StepKey) -> None:
        if self._scheduled.pop(step_key, None) is not None:
            self._dequeue(step_key)
        self._renewals.pop(step_key, None)

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._scheduled) + _MIN_COMPACT:
            self._heap = [(due_at, step_key) for step_key, due_at in self._scheduled.items()]
            heapq.heapify(self._heap)


def _waits(step: Step) -> bool:
    """Whether the step has a deadline."""
    return step.status in ("delayed", "active") or (step.status == "waiting" and step.requested_at is not None)


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
    if step.lease is not None:
        lease_id = step.lease.id
        return LeaseExpired(**fields, lease_id=lease_id, progress=progress, decided_at=now)  # type: ignore[arg-type]  # likewise
    return DispatchDue(**fields, dispatches=step.dispatches)  # type: ignore[arg-type]  # likewise

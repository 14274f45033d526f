"""Time as data: what is due when, in a heap that is rebuilt from the rows, and the events that say so.

A lost entry is found again by the next rebuild; an entry that is no longer current is ignored here, and once more by
the reducer. So two clocks, or a lost tick, are harmless.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from schemas.jobs import JOB_ENDED, Job, Lease, Step
from schemas.step_events import AttemptAccepted, AttemptHeartbeat, Claim, DispatchDue, LeaseExpired, RetryDue, StepEvent
from streams.settings import Dispatch, LeaseTimes

#: An event that was sent and has not come back through the reducer is sent again after this long.
_RESEND_S = 5.0
#: Longest dispatch deadline, however often it has doubled.
_MAX_DISPATCH_S = 86_400.0
#: The heap is made anew when more than half of this many entries and more have gone stale.
_MIN_COMPACT = 1_000

#: (job, step name) -> number of the line in which the step's request stands.
RequestLine = Callable[[Job, str], int]
_Place = tuple[str, str]


class _Renewal(NamedTuple):
    lease_id: str
    at: float
    progress: float


class Clock:
    """What is due, for the jobs this process owns. Renewals of leases and signs of lost requests live in memory."""

    def __init__(self, lease: LeaseTimes, dispatch: Dispatch, request_line: RequestLine) -> None:
        self._lease, self._dispatch, self._request_line = lease, dispatch, request_line
        self._heap: list[tuple[float, _Place]] = []
        self._entered: dict[_Place, float] = {}
        self._renewals: dict[_Place, _Renewal] = {}
        self._grace_from = 0.0
        self._queues: dict[tuple[str, int], OrderedDict[_Place, float]] = {}
        #: In which of the queues a step stands.
        self._lines: dict[_Place, tuple[str, int]] = {}
        self._overtaken: dict[_Place, float] = {}

    def __len__(self) -> int:
        """How many steps are waited for."""
        return len(self._entered)

    def restart(self, now: float) -> None:
        """Forget everything; every lease gets one TTL of grace. Then `watch` every job again."""
        self._heap.clear()
        for known in (self._entered, self._renewals, self._queues, self._lines, self._overtaken):
            known.clear()
        self._grace_from = now

    def grant_grace(self, now: float) -> None:
        """Time has jumped: whoever could not renew meanwhile gets one TTL more."""
        self._grace_from = now

    def watch(self, job: Job) -> None:
        """The job has changed: enter what it now waits for, forget what it no longer does."""
        for step in job.steps:
            place = (job.id, step.spec.name)
            if job.status in JOB_ENDED or not _waits(step):
                self._forget(place)
                continue
            if step.status == "waiting":
                line = self._request_line(job, step.spec.name)
                self._join(place, (step.spec.name, line), step.requested_at or 0.0)
            self._enter(place, self._due_at(place, step))
        self._compact()

    def renew(self, beat: AttemptHeartbeat, now: float) -> None:
        """The owner of a lease is alive."""
        self._renewals[beat.job_id, beat.step] = _Renewal(beat.lease_id, now, beat.progress)

    def saw_accepted(self, event: StepEvent, claim: AttemptAccepted | Claim, now: float) -> None:
        """A request was accepted. A request partition is FIFO: those that were asked for before it, there, and have
        not been accepted within a while, are lost.
        """
        place = (event.job_id, event.step)
        self._leave(place)
        queue = self._queues.get((event.step, claim.request_partition), OrderedDict())
        while queue:
            other, requested_at = next(iter(queue.items()))
            if requested_at >= claim.requested_at:
                break
            self._leave(other)
            self._overtaken[other] = now + self._dispatch.overtaken_s
            self._enter(other, self._overtaken[other])

    def next_due(self, now: float) -> _Place | None:
        """Take (job id, step name) of the earliest entry that is due; None when nothing is."""
        while self._heap and self._heap[0][0] <= now:
            due_at, place = heapq.heappop(self._heap)
            if self._entered.get(place) == due_at:
                del self._entered[place]
                return place
        return None

    def event_for(self, job: Job, step_name: str, now: float) -> StepEvent | None:
        """What the job must be told about the step, if anything. Whatever it is, the step is looked at again later."""
        step = next((s for s in job.steps if s.spec.name == step_name), None)
        if step is None or job.status in JOB_ENDED or not _waits(step):
            return None
        place = (job.id, step_name)
        due_at = self._due_at(place, step)
        self._enter(place, due_at if due_at > now else now + _RESEND_S)
        progress = self._renewal(place, step.lease).progress if step.lease is not None else 0.0
        return _event(job, step, progress, now) if due_at <= now else None

    def _due_at(self, place: _Place, step: Step) -> float:
        if step.status == "delayed":
            return step.due_at or 0.0
        if step.lease is not None:
            return (
                max(step.lease.accepted_at, self._renewal(place, step.lease).at, self._grace_from) + self._lease.ttl_s
            )
        waited_s = min(self._dispatch.deadline_s * 2.0 ** (step.dispatches - 1), _MAX_DISPATCH_S)
        deadline = (step.requested_at or 0.0) + waited_s
        return min(deadline, self._overtaken.get(place, deadline))

    def _renewal(self, place: _Place, lease: Lease) -> _Renewal:
        known = self._renewals.get(place)
        return known if known is not None and known.lease_id == lease.id else _Renewal(lease.id, 0.0, 0.0)

    def _join(self, place: _Place, line: tuple[str, int], requested_at: float) -> None:
        """Stand last among the requests of one line that nobody accepted yet."""
        self._leave(place)
        self._lines[place] = line
        self._queues.setdefault(line, OrderedDict())[place] = requested_at

    def _leave(self, place: _Place) -> None:
        self._overtaken.pop(place, None)
        line = self._lines.pop(place, None)
        if line is not None:
            del self._queues[line][place]

    def _enter(self, place: _Place, due_at: float) -> None:
        """An earlier entry stands: when it is due, the step is looked at and entered again."""
        if self._entered.get(place, due_at + 1) > due_at:
            self._entered[place] = due_at
            heapq.heappush(self._heap, (due_at, place))

    def _forget(self, place: _Place) -> None:
        if self._entered.pop(place, None) is not None:
            self._leave(place)
        self._renewals.pop(place, None)

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._entered) + _MIN_COMPACT:
            self._heap = [(due_at, place) for place, due_at in self._entered.items()]
            heapq.heapify(self._heap)


def _waits(step: Step) -> bool:
    """Whether time alone can change the step."""
    return step.status in ("delayed", "active") or (step.status == "waiting" and step.requested_at is not None)


def _event(job: Job, step: Step, progress: float, now: float) -> StepEvent:
    about = {
        "job_id": job.id,
        "asset_id": job.asset_id,
        "run": step.run,
        "step": step.spec.name,
        "attempt": step.attempt,
    }
    if step.status == "delayed":
        return RetryDue(**about)  # type: ignore[arg-type]  # the keys are RetryDue's own
    if step.lease is not None:
        lease_id = step.lease.id
        return LeaseExpired(**about, lease_id=lease_id, progress=progress, decided_at=now)  # type: ignore[arg-type]  # likewise
    return DispatchDue(**about, dispatches=step.dispatches)  # type: ignore[arg-type]  # likewise

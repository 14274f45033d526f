"""Queues: positions of waiting jobs and why they wait, as the dispatcher reports them. In memory.

The order is the dispatcher's: it knows owners' turns, limits and executors. Rows tell who may see a job, and whether it
still waits.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from schemas.jobs import JOB_ENDED, Job, Step
from schemas.queues import BlockedReason, QueuedAttempt, QueueReported
from tables.workload import work_of
from web.readmodel.changelog import is_queued
from web.views.models import WaitingReason

#: Age from which a report does not count: three that did not come. The dispatcher repeats them every 5 s.
STALE_S = 15.0


class QueuedJob(NamedTuple):
    """A job that waits for an executor."""

    job_id: str
    asset_id: str
    owner: str | None
    #: Work of each step that waits, see tables/workload.py; None: not known yet.
    work: Mapping[str, float | None]


class _Report(NamedTuple):
    message: QueueReported
    received_at: float
    attempts: Mapping[str, QueuedAttempt]


class Queues:
    """The queue of each step. Changed on the event loop only; other methods may be called in any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._jobs: dict[str, QueuedJob] = {}
        self._reports: dict[str, _Report] = {}
        #: Number of the dispatcher that reported last.
        self._dispatcher = 0
        self._changed: set[str] = set()
        self._switched: set[str] = set()
        #: Steps whose queue is paused. Replaced, never changed.
        self.paused: frozenset[str] = frozenset()

    def update(self, job: Job) -> None:
        """Take over the current row of a job."""
        steps = [] if job.status in JOB_ENDED else [step.spec.name for step in job.steps if is_queued(step)]
        if steps:
            work = {step: work_of(job, step) for step in steps}
            self._jobs[job.id] = QueuedJob(job.id, job.asset_id, job.owner, work)
        else:
            self._jobs.pop(job.id, None)

    def forget(self, job_id: str) -> None:
        """Remove a deleted job."""
        self._jobs.pop(job_id, None)

    def clear(self) -> None:
        """Remove all jobs: all rows are read again."""
        self._jobs.clear()
        self.paused = frozenset()

    def pause(self, step: str, *, paused: bool) -> bool:
        """Note that the step's queue is paused, or resumed; whether that is a change."""
        before, self.paused = self.paused, self.paused | {step} if paused else self.paused - {step}
        return before != self.paused

    def report(self, message: QueueReported) -> None:
        """Take over a report of the dispatcher."""
        if message.dispatcher < self._dispatcher:
            return
        if message.dispatcher > self._dispatcher:
            self._dispatcher = message.dispatcher
            self._changed |= self._reports.keys()
            self._switched |= {step for step in self._reports if self.reason(step)}
            self._reports = {}
        known = self._reports.get(message.step)
        if message.reason != self.reason(message.step):
            self._switched.add(message.step)
        if known is None or known.message != message:
            self._changed.add(message.step)
        attempts = {attempt.job_id: attempt for attempt in message.first}
        self._reports[message.step] = _Report(message, self._clock(), attempts)

    def reason(self, step: str) -> BlockedReason:
        """Why nothing of the step's queue can start; empty when it can, or while unknown."""
        if step in self.paused:
            return "paused"
        report = self._report(step)
        reason = report.message.reason if report is not None else ""
        return "" if reason == "paused" else reason  # resumed, and not reported since

    def waiting_reason(self, job_id: str, step: str) -> WaitingReason:
        """Why a step waits that waits for an executor."""
        attempt = self._attempt(job_id, step)
        return self.reason(step) or ("owner_cap" if attempt is not None and attempt.capped_owner else "queued")

    def unserved(self) -> list[str]:
        """Steps that no executor offers."""
        return sorted(step for step in list(self._reports) if self.reason(step) == "no_executor")

    def waiting(self) -> dict[str, int]:
        """Attempts that wait for an executor, by step; without those of which nothing is known."""
        reports = {step: self._report(step) for step in list(self._reports)}
        return {step: report.message.waiting for step, report in reports.items() if report is not None}

    def is_held(self, step: Step) -> bool:
        """Whether the step has yet to start and cannot: its start cannot be estimated."""
        is_ahead = step.status in ("waiting", "delayed")
        return is_ahead and self.reason(step.spec.name) in ("paused", "no_executor")

    def position(self, job_id: str, step: str) -> int | None:
        """Turn that the job gets in the step's queue, from 1; None for one far behind, or while unknown."""
        attempt = self._attempt(job_id, step)
        return attempt.position if attempt is not None else None

    def wait_s(self, job_id: str, step: str) -> float | None:
        """Estimated seconds until the waiting step starts; None while it cannot, or while unknown."""
        report, attempt = self._reports.get(step), self._attempt(job_id, step)
        if (
            report is None
            or attempt is None
            or attempt.wait_s is None
            or self.reason(step) in ("paused", "no_executor")
        ):
            return None
        return max(attempt.wait_s - (self._clock() - report.received_at), 0.0)

    def take_changed(self) -> set[str]:
        """Steps whose queue has changed since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def take_switched(self) -> set[str]:
        """Steps whose queue can start again, or no more, since the last call: this concerns all who wait there."""
        switched, self._switched = self._switched, set()
        return switched

    def steps(self) -> set[str]:
        """Steps with a report."""
        return set(self._reports)

    def first(self, step: str) -> Iterator[tuple[QueuedJob, QueuedAttempt]]:
        """The first jobs of the step's queue that still wait there, in order."""
        report = self._report(step)
        for attempt in report.message.first if report is not None else ():
            job = self._jobs.get(attempt.job_id)
            if job is not None and step in job.work:
                yield job, attempt

    def _attempt(self, job_id: str, step: str) -> QueuedAttempt | None:
        report = self._report(step)
        return report.attempts.get(job_id) if report is not None else None

    def _report(self, step: str) -> _Report | None:
        report = self._reports.get(step)
        return report if report is not None and self._clock() - report.received_at < STALE_S else None

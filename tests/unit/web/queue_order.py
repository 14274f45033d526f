"""Reports of queues as a dispatcher without owners' turns sends them: by priority, then by the time of the request."""

from collections import defaultdict
from collections.abc import Iterable

from schemas.jobs import JOB_ENDED, PRIORITIES, Job
from schemas.queues import MAX_QUEUED, QueuedAttempt, QueueReported
from web.readmodel.changelog import is_queued


def reports_of(jobs: Iterable[Job], steps: Iterable[str] = (), number: int = 1) -> list[QueueReported]:
    """A report for each step in which a job waits, and an empty one for each other one of `steps`."""
    queues: dict[str, list[tuple[int, float, str]]] = defaultdict(list, {step: [] for step in steps})
    for job in jobs:
        for step in job.steps if job.status not in JOB_ENDED else ():
            if is_queued(step):
                rank = PRIORITIES.index(job.priority)
                queues[step.spec.name].append((rank, step.requested_at or 0.0, job.id))
    return [report_of(step, [job_id for *_, job_id in sorted(queue)], number) for step, queue in queues.items()]


def report_of(step: str, job_ids: list[str], number: int = 1) -> QueueReported:
    """A report of jobs in this order, which start at once."""
    first = tuple(QueuedAttempt(job_id, position, 0.0) for position, job_id in enumerate(job_ids[:MAX_QUEUED], 1))
    return QueueReported(step=step, dispatcher=number, waiting=len(job_ids), slots=1, first=first)

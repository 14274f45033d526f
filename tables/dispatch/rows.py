"""What the rows of jobs and queues say to a dispatcher. Rows may be repeated: what is known already changes nothing."""

from schemas.jobs import Job, Queue, Step
from schemas.steps import step_kinds
from tables.dispatch.dispatcher import Dispatcher
from tables.dispatch.values import ReadyStep
from tables.workload import work_of


def observe_job(dispatcher: Dispatcher, job: Job, now: float) -> None:
    """Bring the dispatcher up to date with a job."""
    for step in job.steps:
        if not step.attempt:
            continue
        if is_ready(step):
            dispatcher.ready(ready_step(job, step, now), now)
        elif step.status == "active" and step.lease is not None:
            dispatcher.accepted(ready_step(job, step, now), step.lease.session_id, now)
        else:
            key = (job.id, step.run, step.spec.name, step.attempt)
            dispatcher.ended(key, now, completed=step.status == "completed")


def observe_queue(dispatcher: Dispatcher, queue: Queue) -> None:
    """Bring the dispatcher up to date with the queue of a step."""
    if queue.paused:
        dispatcher.pause(queue.step)
    else:
        dispatcher.resume(queue.step)
    dispatcher.limit(queue.step, queue.max_active)


def is_ready(step: Step) -> bool:
    """Whether the step waits for an executor."""
    return step.status == "waiting" and step.requested_at is not None


def is_open(job: Job) -> bool:
    """Whether a step of the job waits for an executor or has one."""
    return any(is_ready(step) or step.status == "active" for step in job.steps)


def ready_step(job: Job, step: Step, now: float) -> ReadyStep:
    """A step whose time has come, as the dispatcher takes it.

    Instant steps go in the order in which they became ready: those of one record of commands then share a record of
    requests and one of step events, and each record costs as much as ten of them.
    """
    name = step.spec.name
    kind = step_kinds().get(name)
    is_instant = kind is not None and kind.instant
    return ReadyStep(
        job_id=job.id,
        step=name,
        run=step.run,
        attempt=step.attempt,
        since=now if is_instant else max(job.created_at, job.run_at or 0.0),
        priority=job.priority,
        owner=job.owner,
        size=None if is_instant else work_of(job, name),
        input_id=job.asset_id if kind is not None and kind.source and kind.files and not is_instant else None,
    )

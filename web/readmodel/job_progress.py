"""Progress of jobs and steps, 0-1, from their rows and the live progress that no row has yet. Pure."""

from collections.abc import Mapping

from schemas.jobs import STEP_PASSED, Job, Step

#: Progress by step name, 0-1, the highest seen in the job's run.
Live = Mapping[str, float]

NO_LIVE: Live = {}


def step_progress(step: Step, live: Live = NO_LIVE) -> float:
    """Progress of a step, 0-1. A skipped step counts as done; a failed attempt takes nothing back within a run."""
    if step.status in STEP_PASSED:
        return 1.0
    return min(max(step.progress, live.get(step.spec.name, 0.0), 0.0), 1.0)


def job_progress(job: Job, live: Live = NO_LIVE) -> float:
    """Progress of a job, 0-1: the mean of its steps' progress, weighted by `spec.weight`."""
    if job.status == "completed":
        return 1.0
    whole = sum(step.spec.weight for step in job.steps)
    done = sum(step.spec.weight * step_progress(step, live) for step in job.steps)
    return done / whole if whole > 0 else 0.0

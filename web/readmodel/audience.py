"""The properties of a job that subscriptions are matched against. Pure."""

from typing import NamedTuple

from schemas.jobs import Job


class Audience(NamedTuple):
    """The properties of a job that decide which subscriptions it belongs to."""

    job_id: str
    asset_id: str
    owner: str | None
    #: Names of the job's steps.
    steps: tuple[str, ...]

    def topics(self) -> set[str]:
        """Every topic that covers the job."""
        queues = (f"queue:{step}" for step in self.steps)
        owners = () if self.owner is None else (f"owner:{self.owner}",)
        return {"all", f"job:{self.job_id}", f"asset:{self.asset_id}", *owners, *queues}


def audience_of(job: Job) -> Audience:
    """The audience of a job."""
    return Audience(job.id, job.asset_id, job.owner, tuple([step.spec.name for step in job.steps]))

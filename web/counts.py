"""How many jobs and steps there are, kept with every change: what a list would count, without counting. Pure."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, get_args

from schemas.jobs import StepStatus
from web.changelog import QUEUED

#: Every state that a step is counted in; one that waits for an executor is waiting and queued.
STEP_STATUSES = (*get_args(StepStatus), QUEUED)


class Counted(NamedTuple):
    """What of a job is counted, as it stands in the read model."""

    owner: str | None
    pipeline: str
    status: str
    #: See step_states.
    states: str


#: Owner ('' for nobody's), pipeline, step ('' for the job itself), status.
Place = tuple[str, str, str, str]
#: By how much each place has changed.
Tally = Counter[Place]


def count(tally: Tally, before: Counted | None, after: Counted | None) -> None:
    """Note that a job was `before` and is `after`; None: it is not there."""
    if before is not None:
        tally.subtract(_places(before))
    if after is not None:
        tally.update(_places(after))


def _places(job: Counted) -> Iterator[Place]:
    owner = job.owner or ""
    yield owner, job.pipeline, "", job.status
    for state in job.states.split():
        step, _, status = state.partition("=")
        yield owner, job.pipeline, step, status

"""Jobs that are alike, and how many: what filters and statistics ask, without looking at each job."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, get_args

from schemas.jobs import Job, StepStatus
from web.readmodel import schema
from web.readmodel.changelog import QUEUED, step_states

#: Every state that a step is counted in; one that waits for an executor is waiting and queued.
STEP_STATUSES = (*get_args(StepStatus), QUEUED)


class Group(NamedTuple):
    """What the jobs of a group have in common."""

    #: '' for nobody.
    owner: str
    pipeline: str
    status: str
    #: See step_states.
    states: str


def group_of(job: Job) -> Group:
    """The group of a job as it stands."""
    return Group(job.owner or "", job.pipeline, job.status, step_states(job))


class Groups:
    """The numbers of all groups that have jobs. Used in the writer's thread only, within its transactions."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        rows = db.execute("SELECT g, jobs, owner, pipeline, status, states FROM groups").fetchall()
        self._groups = {g: Group._make(group) for g, _, *group in rows}
        self._numbers = {group: g for g, group in self._groups.items()}
        self._jobs = Counter({g: jobs for g, jobs, *_ in rows})
        self._next = max(self._groups, default=0) + 1

    def number(self, group: Group) -> int:
        """The group's number; that of a new one is written, and must be counted within the transaction."""
        found = self._numbers.get(group)
        if found is None:
            found = self._numbers[group] = self._next
            self._groups[found] = group
            self._next += 1
            self._db.execute(schema.ADD_GROUP, (found, *group))
        return found

    def of(self, number: int) -> Group:
        """The group of that number."""
        return self._groups[number]

    def count(self, changes: "Counter[int]") -> None:
        """So many jobs have come into each group, or have left it. One that nobody is left in is forgotten."""
        self._db.executemany(schema.COUNT_GROUP, [(by, g) for g, by in changes.items() if by])
        self._jobs.update(changes)
        for g in changes:
            if not self._jobs[g]:
                self._db.execute(schema.DELETE_GROUP, (g,))
                del self._jobs[g], self._numbers[self._groups.pop(g)]


def step_counts(states: str) -> Iterator[tuple[str, str]]:
    """Step and status of each of the `states`."""
    for state in states.split():
        step, _, status = state.partition("=")
        yield step, status

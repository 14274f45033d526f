"""Groups of jobs with equal properties, and their counts: filters and statistics read these instead of all jobs."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, get_args

from schemas.jobs import Job, StepStatus
from web.readmodel import schema
from web.readmodel.changelog import QUEUED, step_states

#: Every status that a step is counted in; a step that waits for an executor is both waiting and queued.
STEP_STATUSES = (*get_args(StepStatus), QUEUED)


class Group(NamedTuple):
    """The properties that the jobs of a group share."""

    #: '' without an owner.
    owner: str
    pipeline: str
    status: str
    #: See step_states.
    states: str
    #: Error code of a failed job; '' for any other.
    code: str


def group_of(job: Job) -> Group:
    """The current group of a job."""
    code = job.error.code if job.status == "failed" and job.error is not None else ""
    return Group(job.owner or "", job.pipeline, job.status, step_states(job), code)


class Groups:
    """All groups with jobs, by number. Used in the writer's thread only, within its transactions."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        rows = db.execute("SELECT g, jobs, owner, pipeline, status, states, code FROM groups").fetchall()
        self._groups = {g: Group._make(group) for g, _, *group in rows}
        self._numbers = {group: g for g, group in self._groups.items()}
        self._jobs = Counter({g: jobs for g, jobs, *_ in rows})
        self._next = max(self._groups, default=0) + 1

    def number(self, group: Group) -> int:
        """The group's number. A new group is written and must be counted in the same transaction."""
        number = self._numbers.get(group)
        if number is None:
            number = self._numbers[group] = self._next
            self._groups[number] = group
            self._next += 1
            self._db.execute(schema.ADD_GROUP, (number, *group))
        return number

    def of(self, number: int) -> Group:
        """The group of that number."""
        return self._groups[number]

    def count(self, changes: "Counter[int]") -> None:
        """Change the number of jobs of each group by these amounts. An empty group is deleted."""
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

"""The read model's job tables: rows, columns for lists, and groups for counts."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from schemas.jobs import Job
from web.readmodel import schema
from web.readmodel.audience import Audience
from web.readmodel.changelog import NO_DURATION, Change, duration_s, job_words
from web.readmodel.job_groups import Groups, group_of, step_counts
from web.readmodel.job_progress import Live, job_progress

#: (job id, run) -> live progress by step.
LiveOf = Callable[[str, int], Live]


def no_live(_job_id: str, _run: int) -> Live:
    """No live progress."""
    return {}


class StoredProgress(NamedTuple):
    """Live progress of a job, stored because shown progress must not fall after a restart."""

    job_id: str
    run: int
    live: Live


class JobTable:
    """Writer of the job tables, in the writer's thread and its transactions. After a failed one, create another."""

    def __init__(self, db: sqlite3.Connection, live: LiveOf) -> None:
        self._db, self._live = db, live
        self._groups = Groups(db)
        self._next: int = db.execute("SELECT ifnull(max(n), 0) + 1 FROM jobs").fetchone()[0]

    def audience(self, job_id: str) -> Audience | None:
        """The audience of the stored job; None: there is no such job."""
        row = self._db.execute(schema.JOB_AUDIENCE, (job_id,)).fetchone()
        if row is None:
            return None
        asset_id, group = row[0], self._groups.of(row[1])
        steps = dict.fromkeys(step for step, _ in step_counts(group.states))  # a queued step is listed twice
        return Audience(job_id, asset_id, group.owner or None, tuple(steps))

    def put(self, changes: Sequence[Change[Job]]) -> None:
        """Write the changes; of several changes of one job the last one counts."""
        moves: Counter[int] = Counter()
        self._delete(deleted_ids(changes), moves)
        added, changed, rows = list[Any](), list[Any](), list[Any]()
        for change in {change.id: change for change in changes}.values():
            if (job := change.row) is None:
                continue
            known, g = self._find(job.id), self._groups.number(group_of(job))
            moves[g] += 1
            if known is None:
                n = self._new()
                added.append((*self._columns(job, g), n, job.id, job.asset_id, job.created_at))
            else:
                n, before = known
                moves[before] -= 1
                changed.append((*self._columns(job, g), n))
            rows.append((n, change.raw))
        self._db.executemany(schema.ADD_JOB, added)
        self._db.executemany(schema.CHANGE_JOB, changed)
        self._db.executemany(schema.PUT_JOB_ROW, rows)
        self._groups.count(moves)

    def _columns(self, job: Job, g: int) -> tuple[object, ...]:
        """Values for the columns that change with a job, in the order of the statements."""
        took_s = duration_s(job)
        live = self._live(job.id, job.run)
        progress, ended = job_progress(job, live), job.finished_at is not None
        took_s = NO_DURATION if took_s is None else took_s
        kept = encode_live(job.run, live) if live and job.status != "completed" else None
        return g, ended, job.updated_at, took_s, progress, job_words(job), kept

    def _find(self, job_id: str) -> tuple[int, int] | None:
        """Number of the job in the tables, and of its group."""
        numbers: tuple[int, int] | None = self._db.execute(schema.FIND_JOB, (job_id,)).fetchone()
        return numbers

    def _new(self) -> int:
        self._next += 1
        return self._next - 1

    def _delete(self, ids: Iterable[str], moves: "Counter[int]") -> None:
        for job_id in ids:
            known = self._find(job_id)
            if known is not None:
                n, g = known
                moves[g] -= 1
                self._db.execute(schema.DELETE_JOB_ROW, (n,))
                self._db.execute(schema.DELETE_JOB, (n,))


def encode_live(run: int, live: Live) -> bytes:
    """Progress by step of one run, for the column `live`."""
    return msgspec.json.encode((run, live))


_live_decoder = msgspec.json.Decoder(tuple[int, dict[str, float]])


def decode_live(job_id: str, encoded: bytes) -> StoredProgress:
    """The progress in the column `live`."""
    return StoredProgress(job_id, *_live_decoder.decode(encoded))


def deleted_ids(changes: Sequence[Change[Any]]) -> list[str]:
    """Ids of deleted rows, also those created again since: nothing of the first row may stay."""
    return list(dict.fromkeys(change.id for change in changes if change.row is None))

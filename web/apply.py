"""A batch of changelog records -> the tables of the read model, in one transaction with the offsets."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from schemas.jobs import Asset, Job
from web import sql
from web.changelog import (
    Change,
    Changelog,
    Claims,
    Record,
    asset_columns,
    asset_rows,
    job_columns,
    job_rows,
    read,
    read_queues,
    step_names,
)
from web.counts import Counted, Tally, count
from web.views import Live, job_progress

#: (job id, run) -> progress by step that no row has yet.
LiveOf = Callable[[str, int], Live]


def no_live(_job_id: str, _run: int) -> Live:
    """Nothing is known but the rows."""
    return {}


#: What one fetch brought, by changelog.
Batch = Mapping[Changelog, Sequence[Record]]

#: Share of the history that may be too much before it is trimmed: trimming with each batch would double its writes.
_TRIM_SLACK = 0.05


class Place(NamedTuple):
    """Where one changelog partition is read to."""

    next_offset: int = 0
    #: Mark of the record before it.
    tail: int = 0
    #: Every job change from this offset on is in the history.
    floor: int = 0


class JobChange(NamedTuple):
    """A state change of a job, as it goes into the history and to live clients."""

    #: Its number in this replica's order.
    seq: int
    partition: int
    offset: int
    job_id: str
    asset_id: str
    owner: str | None
    #: Names of its steps, each between two spaces.
    steps: str
    #: None: it was deleted.
    job: Job | None
    #: `job` as it stands in the log.
    raw: bytes | None


class Applied(NamedTuple):
    """What one batch did; it is committed."""

    jobs: list[JobChange]
    #: Ids of the assets whose rows are new, different or gone.
    assets: list[str]
    #: What each changelog vouches for now.
    claims: dict[Changelog, Claims]


class Applier:
    """Writes batches to one database. Used in the writer's thread only."""

    def __init__(self, db: sqlite3.Connection, history: int, live: LiveOf) -> None:
        self._db = db
        self._history = history
        self._live = live
        rows = db.execute("SELECT changelog, partition, next_offset, tail, floor FROM positions")
        self.places: dict[tuple[Changelog, int], Place] = {
            (name, partition): Place(*rest) for name, partition, *rest in rows
        }
        self._seq = db.execute("SELECT ifnull(max(seq), 0) FROM log").fetchone()[0]
        self._oldest = db.execute("SELECT ifnull(min(seq), ?) FROM changes", (self._seq + 1,)).fetchone()[0]

    def apply(self, batch: Batch, *, keep_history: bool) -> Applied:
        """Take in one batch. Records that are known already change nothing, so a repeat is harmless."""
        fresh = {name: [record for record in records if self._is_new(name, record)] for name, records in batch.items()}
        jobs, assets = read(fresh.get("jobs", ()), job_rows), read(fresh.get("assets", ()), asset_rows)
        places = self._advanced(fresh, keep_history=keep_history)
        with transaction(self._db) as db:
            changes = _numbered(db, jobs.changes, self._seq)
            _put_jobs(db, jobs.changes, self._live)
            _put_assets(db, assets.changes)
            queues = read_queues(fresh.get("jobs", ()))
            db.executemany(sql.PUT_QUEUE, [(q.step, q.paused, q.changed_at, q.changed_by) for q in queues])
            if keep_history:
                db.executemany(sql.PUT_CHANGE, [_history_row(change) for change in changes])
            db.executemany(sql.PUT_POSITION, [(*key, *place) for key, place in places.items()])
            db.execute("UPDATE log SET seq = ?", (self._seq + len(changes),))
            _put_claims(db, "jobs", jobs.claims)
            _put_claims(db, "assets", assets.claims)
        self.places.update(places)
        self._seq += len(changes)
        self._trim()
        changed = [change.id for change in assets.changes]
        return Applied(changes, changed, {"jobs": jobs.claims, "assets": assets.claims})

    def _is_new(self, name: Changelog, record: Record) -> bool:
        place = self.places.get((name, record.partition))
        return place is None or record.offset >= place.next_offset

    def _advanced(self, batch: Batch, *, keep_history: bool) -> dict[tuple[Changelog, int], Place]:
        """The places after `batch`. Where compaction left a hole, or no history is kept, the floor comes up."""
        places: dict[tuple[Changelog, int], Place] = {}
        for name, records in batch.items():
            for record in records:
                key = (name, record.partition)
                place = places.get(key) or self.places.get(key) or Place()
                floor = place.floor if record.offset == place.next_offset else record.offset
                following = record.offset + 1
                places[key] = Place(following, record.mark, floor if keep_history else following)
        return places

    def _trim(self) -> None:
        """Keep the history to its length; what is cut off raises the floor of its partition."""
        last = self._seq - self._history
        if last < self._oldest + self._history * _TRIM_SLACK:
            return
        with transaction(self._db) as db:
            cut = db.execute(
                "SELECT partition, max(offset) FROM changes WHERE seq <= ? GROUP BY partition", (last,)
            ).fetchall()
            db.execute("DELETE FROM changes WHERE seq <= ?", (last,))
            for partition, offset in cut:
                place = self.places[("jobs", partition)]
                place = self.places[("jobs", partition)] = place._replace(floor=max(place.floor, offset + 1))
                db.execute(sql.PUT_POSITION, ("jobs", partition, *place))
        self._oldest = last + 1


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _numbered(db: sqlite3.Connection, changes: Sequence[Change[Job]], after: int) -> list[JobChange]:
    """The changes with their numbers. A deletion says whose job it was; one of a job that nobody knew is no change."""
    known: dict[str, JobChange] = {}
    numbered: list[JobChange] = []
    for change in changes:
        seq = after + len(numbered) + 1
        if change.row is not None:
            found = _job_change(seq, change, change.row)
        elif (before := known.get(change.id) or _stored(db, change.id)) is not None:
            found = before._replace(seq=seq, partition=change.partition, offset=change.offset, job=None, raw=None)
        else:
            continue
        known[change.id] = found
        numbered.append(found)
    return numbered


def _job_change(seq: int, change: Change[Job], job: Job) -> JobChange:
    return JobChange(
        seq, change.partition, change.offset, job.id, job.asset_id, job.owner, step_names(job), job, change.raw
    )


def _stored(db: sqlite3.Connection, job_id: str) -> JobChange | None:
    row = db.execute("SELECT asset_id, owner, steps FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        return None
    asset_id, owner, steps = row
    return JobChange(0, 0, 0, job_id, asset_id, owner, steps, None, None)


def _history_row(change: JobChange) -> tuple[object, ...]:
    place = (change.seq, change.partition, change.offset)
    return (*place, change.job_id, change.asset_id, change.owner, change.steps, change.raw)


def _put_jobs(db: sqlite3.Connection, changes: Sequence[Change[Job]], live: LiveOf) -> None:
    last = {change.id: change for change in changes}.values()
    rows = [_columns(change.row, change.raw, live) for change in last if change.row is not None]
    gone = _deleted(changes)
    _put_counts(db, rows, gone)
    db.executemany(sql.DELETE_JOB_ROW, gone)
    db.executemany(sql.DELETE_JOB, gone)
    db.executemany(sql.PUT_JOB, rows)
    db.executemany(sql.PUT_JOB_ROW, rows)


def _deleted(changes: Sequence[Change[Any]]) -> list[tuple[str]]:
    """Also what has come back since: it is another one, of which nothing of the first may stay."""
    return [(an_id,) for an_id in dict.fromkeys(change.id for change in changes if change.row is None)]


def _columns(job: Job, raw: bytes, live: LiveOf) -> dict[str, Any]:
    return job_columns(job, raw, job_progress(job, live(job.id, job.run)))


def _put_counts(db: sqlite3.Connection, rows: Sequence[dict[str, Any]], gone: Sequence[tuple[str]]) -> None:
    """Before the rows themselves: what is there tells what is counted already."""
    tally = Tally()
    for job_id in {row["id"] for row in rows} | {job_id for (job_id,) in gone}:
        count(tally, _counted(db, job_id), None)
    for row in rows:
        count(tally, None, Counted(row["owner"], row["pipeline"], row["status"], row["states"]))
    db.executemany(sql.PUT_COUNT, [(*place, change) for place, change in tally.items() if change])


def _counted(db: sqlite3.Connection, job_id: str) -> Counted | None:
    row = db.execute(sql.JOB_COUNTED, (job_id,)).fetchone()
    return None if row is None else Counted._make(row)


def _put_assets(db: sqlite3.Connection, changes: Sequence[Change[Asset]]) -> None:
    last = {change.id: change for change in changes}.values()
    rows = [asset_columns(change.row, change.raw) for change in last if change.row is not None]
    gone = _deleted(changes)
    db.executemany(sql.DELETE_ASSET_ROW, gone)
    db.executemany(sql.DELETE_ASSET, gone)
    db.executemany(sql.PUT_ASSET, rows)
    db.executemany(sql.PUT_ASSET_ROW, rows)


def _put_claims(db: sqlite3.Connection, name: Changelog, claims: Claims) -> None:
    db.executemany(sql.PUT_APPLIED, [(name, *source, offset) for source, offset in claims.items()])

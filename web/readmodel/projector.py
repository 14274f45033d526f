"""A batch of changelog records -> the tables of the read model, in one transaction with the offsets."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from schemas.jobs import Asset, Job, Queue
from web.readmodel import schema
from web.readmodel.audience import Audience, audience_of
from web.readmodel.changelog import (
    Change,
    Changelog,
    Claims,
    Reading,
    Record,
    asset_columns,
    asset_rows,
    job_rows,
    read,
    read_deleted,
    read_queues,
)
from web.readmodel.job_table import JobTable, LiveOf, gone

#: What one fetch brought, by changelog.
Batch = Mapping[Changelog, Sequence[Record]]

#: Share of the history that may be too much before it is trimmed: trimming with each batch would double its writes.
_TRIM_SLACK = 0.05


class ReadPosition(NamedTuple):
    """The position up to which one changelog partition has been read."""

    next_offset: int = 0
    #: Checksum of the record before it.
    tail: int = 0
    #: First offset from which the history is complete.
    floor: int = 0


class JobChange(NamedTuple):
    """A state change of a job, as it goes into the history and to live clients."""

    #: Sequence number in this replica's order.
    seq: int
    partition: int
    offset: int
    audience: Audience
    #: None: the job was deleted.
    job: Job | None
    #: `job` as encoded in the log.
    raw: bytes | None


class Fresh(NamedTuple):
    """What a batch says that was not known."""

    jobs: Reading[Job]
    assets: Reading[Asset]
    queues: list[Change[Queue]]
    #: See `read_deleted`.
    deleted: dict[str, bool]


class Applied(NamedTuple):
    """What one batch did; it is committed."""

    jobs: list[JobChange]
    assets: list[Change[Asset]]
    #: Pauses and resumes, in order, after the jobs' changes.
    queues: list[Change[Queue]]
    #: Number of the last change.
    seq: int
    #: What each changelog vouches for now.
    claims: dict[Changelog, Claims]


class Projector:
    """Writes batches to one database. Used in the writer's thread only."""

    def __init__(self, db: sqlite3.Connection, history: int, live: LiveOf) -> None:
        self._db = db
        self._history = history
        self._live = live
        self._jobs = JobTable(db, live)
        rows = db.execute("SELECT changelog, partition, next_offset, tail, floor FROM positions")
        self.positions: dict[tuple[Changelog, int], ReadPosition] = {
            (name, partition): ReadPosition(*rest) for name, partition, *rest in rows
        }
        self._seq = db.execute("SELECT ifnull(max(seq), 0) FROM log").fetchone()[0]
        self._oldest = db.execute("SELECT ifnull(min(seq), ?) FROM changes", (self._seq + 1,)).fetchone()[0]

    def apply(self, batch: Batch, *, keep_history: bool) -> Applied:
        """Take in one batch. Records that are known already change nothing, so a repeat is harmless."""
        fresh = {name: [record for record in records if self._is_new(name, record)] for name, records in batch.items()}
        jobs, assets = read(fresh.get("jobs", ()), job_rows), read(fresh.get("assets", ()), asset_rows)
        positions = self._advanced(fresh, keep_history=keep_history)
        records = fresh.get("jobs", ())
        queues = read_queues(records)
        rows = Fresh(jobs, assets, queues, read_deleted(records))
        changes = self._write(rows, positions, keep_history=keep_history)
        self.positions.update(positions)
        self._seq += len(changes) + len(queues)
        self._trim()
        claims: dict[Changelog, Claims] = {"jobs": jobs.claims, "assets": assets.claims}
        return Applied(changes, assets.changes, queues, self._seq, claims)

    def _write(
        self, fresh: Fresh, positions: Mapping[tuple[Changelog, int], ReadPosition], *, keep_history: bool
    ) -> list[JobChange]:
        """All of it, or nothing."""
        try:
            with transaction(self._db) as db:
                changes = self._numbered(fresh.jobs.changes)
                self._jobs.put(fresh.jobs.changes)
                _put_assets(db, fresh.assets.changes)
                _put_deleted(db, fresh.deleted)
                db.executemany(schema.PUT_QUEUE, _queue_rows(fresh.queues))
                if keep_history:
                    db.executemany(schema.PUT_CHANGE, [_history_row(change) for change in changes])
                db.executemany(schema.PUT_POSITION, [(*key, *position) for key, position in positions.items()])
                db.execute("UPDATE log SET seq = ?", (self._seq + len(changes) + len(fresh.queues),))
                _put_claims(db, "jobs", fresh.jobs.claims)
                _put_claims(db, "assets", fresh.assets.claims)
        except BaseException:
            self._jobs = JobTable(self._db, self._live)  # what it knows may not have been written
            raise
        return changes

    def _numbered(self, changes: Sequence[Change[Job]]) -> list[JobChange]:
        """Numbered changes. A deletion has the audience of the row before it; one of an unknown job is left out."""
        audiences: dict[str, Audience] = {}
        numbered: list[JobChange] = []
        for change in changes:
            audience = self._audience(change, audiences)
            if audience is not None:
                audiences[change.id] = audience
                seq, raw = self._seq + len(numbered) + 1, None if change.row is None else change.raw
                numbered.append(JobChange(seq, change.partition, change.offset, audience, change.row, raw))
        return numbered

    def _audience(self, change: Change[Job], earlier: Mapping[str, Audience]) -> Audience | None:
        if change.row is not None:
            return audience_of(change.row)
        return earlier.get(change.id) or self._jobs.audience(change.id)

    def _is_new(self, name: Changelog, record: Record) -> bool:
        position = self.positions.get((name, record.partition))
        return position is None or record.offset >= position.next_offset

    def _advanced(self, batch: Batch, *, keep_history: bool) -> dict[tuple[Changelog, int], ReadPosition]:
        """The positions after `batch`. The floor rises over holes left by compaction, and while no history is kept."""
        positions: dict[tuple[Changelog, int], ReadPosition] = {}
        for name, records in batch.items():
            for record in records:
                key = (name, record.partition)
                before = positions.get(key) or self.positions.get(key) or ReadPosition()
                floor = before.floor if record.offset == before.next_offset else record.offset
                following = record.offset + 1
                positions[key] = ReadPosition(following, record.mark, floor if keep_history else following)
        return positions

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
                before = self.positions[("jobs", partition)]
                after = self.positions[("jobs", partition)] = before._replace(floor=max(before.floor, offset + 1))
                db.execute(schema.PUT_POSITION, ("jobs", partition, *after))
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


def _history_row(change: JobChange) -> tuple[object, ...]:
    job_id, asset_id, owner, steps = change.audience
    return (change.seq, change.partition, change.offset, job_id, asset_id, owner, " ".join(steps), change.raw)


def _queue_rows(changes: Sequence[Change[Queue]]) -> list[tuple[object, ...]]:
    return [
        (change.id, queue.paused, queue.changed_at, queue.changed_by, change.partition, change.offset)
        for change in changes
        if (queue := change.row) is not None
    ]


def _put_assets(db: sqlite3.Connection, changes: Sequence[Change[Asset]]) -> None:
    last = {change.id: change for change in changes}.values()
    rows = [asset_columns(change.row, change.raw) for change in last if change.row is not None]
    deleted = [(an_id,) for an_id in gone(changes)]
    db.executemany(schema.DELETE_ASSET_ROW, deleted)
    db.executemany(schema.DELETE_ASSET, deleted)
    db.executemany(schema.PUT_ASSET, rows)
    db.executemany(schema.PUT_ASSET_ROW, rows)


def _put_deleted(db: sqlite3.Connection, deleted: Mapping[str, bool]) -> None:
    if deleted:
        db.executemany(schema.PUT_DELETED_JOB, [(job_id,) for job_id, there in deleted.items() if there])
        db.executemany(schema.FORGET_DELETED_JOB, [(job_id,) for job_id, there in deleted.items() if not there])


def _put_claims(db: sqlite3.Connection, name: Changelog, claims: Claims) -> None:
    db.executemany(schema.PUT_APPLIED, [(name, *source, offset) for source, offset in claims.items()])

"""The projector: writes batches of changelog records and their offsets to the read model, each in one transaction."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from schemas.jobs import Asset, Job, Queue
from web.readmodel import schema
from web.readmodel.audience import Audience, audience_of
from web.readmodel.changelog import (
    AppliedOffsets,
    Change,
    Changelog,
    ParsedRecords,
    Record,
    asset_columns,
    asset_rows,
    deleted_jobs,
    job_rows,
    parse_records,
    queue_changes,
)
from web.readmodel.job_table import JobTable, LiveOf, deleted_ids

#: Records of one fetch, by changelog.
Batch = Mapping[Changelog, Sequence[Record]]

#: Excess of the history that starts a trim, as a share: a trim with each batch would double the writes.
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


class NewRows(NamedTuple):
    """The parsed records of a batch that were not applied before."""

    jobs: ParsedRecords[Job]
    assets: ParsedRecords[Asset]
    queues: list[Change[Queue]]
    #: See `deleted_jobs`.
    deleted: dict[str, bool]


class BatchResult(NamedTuple):
    """The changes that a batch made; it is committed."""

    jobs: list[JobChange]
    assets: list[Change[Asset]]
    #: Pauses and resumes, in order, after the jobs' changes.
    queues: list[Change[Queue]]
    #: Sequence number of the last change.
    seq: int
    #: Applied offsets found in each changelog.
    applied_offsets: dict[Changelog, AppliedOffsets]
    #: Source partitions whose earlier applied offsets are void, in each changelog.
    voided: dict[Changelog, frozenset[tuple[str, int]]]


class Projector:
    """Writer of batches to one database. Used in the writer's thread only."""

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

    def apply(self, batch: Batch, *, keep_history: bool) -> BatchResult:
        """Apply one batch. Records that were applied before change nothing, so a repeat is harmless."""
        new = {name: [record for record in records if self._is_new(name, record)] for name, records in batch.items()}
        rows = _new_rows(new)
        positions = self._advanced(new, keep_history=keep_history)
        changes = self._write(rows, positions, keep_history=keep_history)
        self.positions.update(positions)
        self._seq += len(changes) + len(rows.queues)
        self._trim()
        offsets: dict[Changelog, AppliedOffsets] = {
            "jobs": rows.jobs.applied_offsets,
            "assets": rows.assets.applied_offsets,
        }
        voided: dict[Changelog, frozenset[tuple[str, int]]] = {"jobs": rows.jobs.voided, "assets": rows.assets.voided}
        return BatchResult(changes, rows.assets.changes, rows.queues, self._seq, offsets, voided)

    def _write(
        self, rows: NewRows, positions: Mapping[tuple[Changelog, int], ReadPosition], *, keep_history: bool
    ) -> list[JobChange]:
        """Write everything in one transaction."""
        try:
            with transaction(self._db) as db:
                changes = self._numbered(rows.jobs.changes)
                self._jobs.put(rows.jobs.changes)
                _put_assets(db, rows.assets.changes)
                _put_deleted(db, rows.deleted)
                db.executemany(schema.PUT_QUEUE, _queue_rows(rows.queues))
                db.executemany(schema.DELETE_CHANGES, [(job_id,) for job_id in deleted_ids(rows.jobs.changes)])
                if keep_history:
                    db.executemany(schema.PUT_CHANGE, [_history_row(change) for change in _without_deleted(changes)])
                db.executemany(schema.PUT_POSITION, [(*key, *position) for key, position in positions.items()])
                db.execute("UPDATE log SET seq = ?", (self._seq + len(changes) + len(rows.queues),))
                _put_applied(db, "jobs", rows.jobs)
                _put_applied(db, "assets", rows.assets)
        except BaseException:
            self._jobs = JobTable(self._db, self._live)  # its state may not have been written
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
                positions[key] = ReadPosition(following, record.checksum, floor if keep_history else following)
        return positions

    def _trim(self) -> None:
        """Trim the history to its length, which raises the floors of the partitions."""
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
    """Commit everything, or roll everything back."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _new_rows(batch: Batch) -> NewRows:
    jobs, assets = batch.get("jobs", ()), batch.get("assets", ())
    return NewRows(
        parse_records(jobs, job_rows), parse_records(assets, asset_rows), queue_changes(jobs), deleted_jobs(jobs)
    )


def _without_deleted(changes: Sequence[JobChange]) -> list[JobChange]:
    """The changes without those of a job before its deletion: whoever resumes before them gets the deletion."""
    deleted_at = {change.audience.job_id: change.seq for change in changes if change.job is None}
    return [change for change in changes if change.seq >= deleted_at.get(change.audience.job_id, 0)]


def _history_row(change: JobChange) -> tuple[object, ...]:
    job_id, asset_id, owner, steps = change.audience
    return (change.seq, change.partition, change.offset, job_id, asset_id, owner, " ".join(steps), change.raw)


def _queue_rows(changes: Sequence[Change[Queue]]) -> list[tuple[object, ...]]:
    return [
        (change.id, queue.paused, queue.changed_at, queue.changed_by, change.partition, change.offset, queue.max_active)
        for change in changes
        if (queue := change.row) is not None
    ]


def _put_assets(db: sqlite3.Connection, changes: Sequence[Change[Asset]]) -> None:
    last = {change.id: change for change in changes}.values()
    rows = [asset_columns(change.row, change.raw) for change in last if change.row is not None]
    deleted = [(asset_id,) for asset_id in deleted_ids(changes)]
    db.executemany(schema.DELETE_ASSET_ROW, deleted)
    db.executemany(schema.DELETE_ASSET, deleted)
    db.executemany(schema.PUT_ASSET, rows)
    db.executemany(schema.PUT_ASSET_ROW, rows)


def _put_deleted(db: sqlite3.Connection, deleted: Mapping[str, bool]) -> None:
    if deleted:
        db.executemany(schema.PUT_DELETED_JOB, [(job_id,) for job_id, known in deleted.items() if known])
        db.executemany(schema.FORGET_DELETED_JOB, [(job_id,) for job_id, known in deleted.items() if not known])


def _put_applied(db: sqlite3.Connection, name: Changelog, rows: ParsedRecords[Any]) -> None:
    db.executemany(schema.VOID_APPLIED, [(name, *source) for source in rows.voided])
    db.executemany(schema.PUT_APPLIED, [(name, *source, offset) for source, offset in rows.applied_offsets.items()])

"""Queries for live clients: snapshots of subscriptions, and the history of changes."""

import sqlite3
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from schemas.jobs import JOB_ENDED, Job
from web.readmodel import queries
from web.readmodel.audience import Audience
from web.readmodel.changelog import job_rows
from web.readmodel.list_query import of_groups
from web.readmodel.projector import JobChange
from web.readmodel.subscriptions import Subscription


class Moment(NamedTuple):
    """The state that a query reads: next offsets of the jobs changelog, and the sequence number of the last change."""

    offsets: tuple[int, ...]
    seq: int


def moment(db: sqlite3.Connection, partitions: int) -> Moment:
    """The state that this query reads."""
    offsets = dict(db.execute("SELECT partition, next_offset FROM positions WHERE changelog = 'jobs'").fetchall())
    return Moment(tuple(offsets.get(p, 0) for p in range(partitions)), _last_seq(db))


def snapshot(db: sqlite3.Connection, subscription: Subscription, limit: int) -> list[Job]:
    """The jobs of a subscription, at most `limit`: open jobs first, then the newest."""
    jobs = {job.id: job for job in named(db, subscription, limit) if subscription.allows(job.owner)}
    if (groups := subscription.groups()) is not None:
        condition, args = of_groups([groups])
        still_open = f"FROM jobs INDEXED BY jobs_open WHERE ended = 0 AND {condition}"
        ended = f"FROM jobs INDEXED BY jobs_narrow WHERE {condition}"
        for source in (still_open, ended):
            newest = f"SELECT n, created_at {source} ORDER BY created_at DESC LIMIT ?"
            rows = f"SELECT row FROM ({newest}) CROSS JOIN job_rows USING (n)"  # noqa: S608  constant names
            for (row,) in db.execute(rows, (*args, limit)):
                job = job_rows.decode(row)
                jobs.setdefault(job.id, job)
    return sorted(jobs.values(), key=lambda job: (job.status in JOB_ENDED, -job.created_at))[:limit]


def named(db: sqlite3.Connection, subscription: Subscription, limit: int) -> Iterator[Job]:
    """Jobs that are subscribed by id, and the newest `limit` jobs of each asset that is."""
    for job_id in subscription.named("job"):
        if (one := queries.job(db, job_id)) is not None:
            yield one
    for asset_id in subscription.named("asset"):
        yield from islice(queries.jobs_of_asset(db, asset_id), limit)


def resume_seq(db: sqlite3.Connection, offsets: tuple[int, ...]) -> int | None:
    """Sequence number after which a client with `offsets` resumes in the history.

    None: the history does not reach back, or a queue was paused or resumed since, which the history does not contain.
    """
    queues = db.execute("SELECT partition, offset FROM queues").fetchall()
    if any(offset >= offsets[partition] for partition, offset in queues):
        return None
    positions = db.execute("SELECT partition, next_offset, floor FROM positions WHERE changelog = 'jobs'").fetchall()
    if any(not floor <= offsets[partition] <= next_offset for partition, next_offset, floor in positions):
        return None
    firsts = [
        db.execute(
            "SELECT min(seq) FROM changes WHERE partition = ? AND offset >= ?", (partition, offsets[partition])
        ).fetchone()[0]
        for partition, _, _ in positions
    ]
    missed = [seq for seq in firsts if seq is not None]
    return min(missed) - 1 if missed else _last_seq(db)


def changes_after(db: sqlite3.Connection, seq: int, limit: int) -> list[JobChange]:
    """The next changes of the history, in order."""
    columns = "seq, partition, offset, job_id, asset_id, owner, steps, row"
    query = f"SELECT {columns} FROM changes WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608  constant names
    return [_change(row) for row in db.execute(query, (seq, limit))]


def _change(row: tuple[Any, ...]) -> JobChange:
    seq, partition, offset, job_id, asset_id, owner, steps, raw = row
    audience = Audience(job_id, asset_id, owner, tuple(steps.split()))
    return JobChange(seq, partition, offset, audience, None if raw is None else job_rows.decode(raw), raw)


def _last_seq(db: sqlite3.Connection) -> int:
    seq: int = db.execute("SELECT ifnull(max(seq), 0) FROM log").fetchone()[0]
    return seq

"""Queries of the read model. Each takes a connection first and reads one consistent state."""

import math
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from processors.storage.keys import FOLDERS
from schemas.jobs import JOB_ENDED, Asset, Job
from web.readmodel.changelog import AppliedOffsets, Changelog, asset_rows, job_rows
from web.readmodel.job_groups import step_counts
from web.readmodel.job_table import StoredProgress, decode_live
from web.readmodel.list_query import Condition, Listing, bound_values, joined, of_groups


class Rule(NamedTuple):
    """Maximum number and age of ended jobs of one pipeline and status; 0: unlimited."""

    pipeline: str
    status: str
    jobs: int
    age_s: float


class CountRow(NamedTuple):
    """Number of jobs of a pipeline in a status (step ''), or with this step in that status."""

    pipeline: str
    step: str
    status: str
    jobs: int


class FailureGroup(NamedTuple):
    """Failed jobs with the same error code."""

    code: str
    jobs: int
    newest: Job


class Counts(NamedTuple):
    """Numbers of jobs, steps and assets at one moment."""

    rows: list[CountRow]
    #: Assets by status.
    assets: dict[str, int]


def job(db: sqlite3.Connection, job_id: str) -> Job | None:
    """One job."""
    row = db.execute("SELECT row FROM job_rows WHERE n = (SELECT n FROM jobs WHERE id = ?)", (job_id,)).fetchone()
    return job_rows.decode(row[0]) if row else None


def is_deleted(db: sqlite3.Connection, job_id: str) -> bool:
    """Whether a job with this id was deleted, as far as control remembers."""
    return db.execute("SELECT 1 FROM deleted_jobs WHERE id = ?", (job_id,)).fetchone() is not None


def matching_jobs(db: sqlite3.Connection, listing: Listing, after: tuple[float, str], limit: int) -> list[Job]:
    """The next jobs that match a listing's filters, in order of (created_at, id), from `after` on."""
    return [job_rows.decode(row) for _, _, row in matching_rows(db, listing, after, limit)]


def matching_rows(
    db: sqlite3.Connection, listing: Listing, after: tuple[float, str], limit: int
) -> list[tuple[float, str, bytes]]:
    """`created_at`, id and row of the next jobs that match, as `matching_jobs` has them."""
    page = f"SELECT n, created_at, id FROM {listing.source} WHERE {listing.where} AND (created_at, id) > (?, ?)"  # noqa: S608
    ordered = f"{page} ORDER BY created_at, id LIMIT ?"
    query = f"SELECT p.created_at, p.id, row FROM ({ordered}) p CROSS JOIN job_rows USING (n) ORDER BY 1, 2"  # noqa: S608
    return db.execute(query, (*listing.args, *after, limit)).fetchall()


def expired_jobs(db: sqlite3.Connection, rule: Rule, now: float, most_aged: int, limit: int) -> list[tuple[str, str]]:
    """Ids of jobs to delete, with their assets, the oldest first: too old (at most `most_aged`), or beyond the maximum
    number.
    """
    groups = "FROM groups WHERE status = ? AND pipeline = ?"
    group = f"FROM jobs INDEXED BY jobs_narrow WHERE g IN (SELECT g {groups})"
    args = (rule.status, rule.pipeline)
    count = f"SELECT ifnull(sum(jobs), 0) {groups}"
    (total,) = db.execute(count, args).fetchone()
    excess = max(total - rule.jobs, 0) if rule.jobs else 0
    old = f"SELECT count(*) {group} AND updated_at < ?"
    if rule.age_s:
        aged = db.execute(old, (*args, now - rule.age_s)).fetchone()[0]
        excess = max(excess, min(aged, most_aged))
    if not excess:
        return []
    query = f"SELECT id, n {group} ORDER BY updated_at, id LIMIT ?"
    named = f"SELECT id, asset_id FROM jobs WHERE n IN (SELECT n FROM ({query}))"  # noqa: S608
    return db.execute(named, (*args, min(excess, limit))).fetchall()


def ended_groups(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Pipeline and status of all ended jobs, each pair once."""
    query = "SELECT DISTINCT pipeline, status FROM groups WHERE status IN (?, ?, ?)"
    return db.execute(query, sorted(JOB_ENDED)).fetchall()


def asset(db: sqlite3.Connection, asset_id: str) -> Asset | None:
    """One asset."""
    row = db.execute("SELECT row FROM asset_rows WHERE n = (SELECT n FROM assets WHERE id = ?)", (asset_id,)).fetchone()
    return asset_rows.decode(row[0]) if row else None


def asset_owner(db: sqlite3.Connection, asset_id: str) -> tuple[str | None] | None:
    """The asset's owner, in a tuple; None when there is no such asset."""
    row: tuple[str | None] | None = db.execute("SELECT owner FROM assets WHERE id = ?", (asset_id,)).fetchone()
    return row


def has_media(db: sqlite3.Connection) -> bool:
    """Whether an asset has files in the store."""
    named = " OR ".join(f"CAST(row AS TEXT) LIKE '%\"{folder}/%'" for folder in FOLDERS)
    return db.execute(f"SELECT 1 FROM asset_rows WHERE {named} LIMIT 1").fetchone() is not None  # noqa: S608  constant


def all_assets(db: sqlite3.Connection) -> Iterator[Asset]:
    """Every asset, one after another."""
    for (row,) in db.execute("SELECT row FROM asset_rows"):
        yield asset_rows.decode(row)


def jobs_of_asset(db: sqlite3.Connection, asset_id: str, created_until: float = math.inf) -> Iterator[Job]:
    """All jobs of the asset that were created up to then, newest first; its row lists only some of them."""
    where = "WHERE asset_id = ? AND created_at <= ? ORDER BY created_at DESC, id DESC"
    query = f"SELECT row FROM jobs CROSS JOIN job_rows USING (n) {where}"  # noqa: S608  constant names
    for (row,) in db.execute(query, (asset_id, created_until)):
        yield job_rows.decode(row)


def has_open_jobs(db: sqlite3.Connection, asset_id: str) -> bool:
    """Whether the asset has a job that has not ended."""
    return db.execute("SELECT 1 FROM jobs WHERE asset_id = ? AND NOT ended LIMIT 1", (asset_id,)).fetchone() is not None


def full_assets(db: sqlite3.Connection, asset_ids: Iterable[str], most: int) -> set[str]:
    """Those of the assets with at least `most` jobs."""
    count = "SELECT count(*) FROM (SELECT 1 FROM jobs WHERE asset_id = ? LIMIT ?)"
    return {one for one in asset_ids if db.execute(count, (one, most)).fetchone()[0] >= most}


def may_have_job(db: sqlite3.Connection, asset_id: str, job_id: str, most: int) -> bool:
    """Whether the asset has this job already, or fewer than `most` jobs."""
    if db.execute("SELECT 1 FROM jobs WHERE id = ?", (job_id,)).fetchone() is not None:
        return True
    return not full_assets(db, [asset_id], most)


def open_jobs(db: sqlite3.Connection) -> list[Job]:
    """Every job that has not ended."""
    rows = db.execute("SELECT row FROM jobs INDEXED BY jobs_open CROSS JOIN job_rows USING (n) WHERE ended = 0")
    return [job_rows.decode(row) for (row,) in rows]


def stored_progress(db: sqlite3.Connection, limit: int) -> list[StoredProgress]:
    """Stored live progress of the jobs that changed last, the oldest of them first."""
    newest = "SELECT id, live FROM jobs WHERE live IS NOT NULL ORDER BY updated_at DESC LIMIT ?"
    return [decode_live(job_id, live) for job_id, live in reversed(db.execute(newest, (limit,)).fetchall())]


def progress_positions(db: sqlite3.Connection) -> dict[int, int]:
    """Next offset to read of each partition of `media.progress`."""
    return dict(db.execute("SELECT partition, next_offset FROM progress_positions").fetchall())


def latest_completed(db: sqlite3.Connection, limit: int) -> list[Job]:
    """The newest completed jobs, the oldest of them first."""
    completed = "g IN (SELECT g FROM groups WHERE status = 'completed')"
    newest = f"SELECT n, created_at FROM jobs INDEXED BY jobs_narrow WHERE {completed}"  # noqa: S608  constant names
    query = f"SELECT row FROM ({newest} ORDER BY created_at DESC, id DESC LIMIT ?) CROSS JOIN job_rows USING (n)"  # noqa: S608
    return [job_rows.decode(row) for (row,) in db.execute(f"{query} ORDER BY created_at", (limit,))]


def has_pipeline(db: sqlite3.Connection, pipeline: str, owner: str | None) -> bool:
    """Whether any job of the owner (None: of anybody) is of this pipeline."""
    query = "SELECT 1 FROM groups WHERE pipeline = ? AND (? IS NULL OR owner = ?) LIMIT 1"
    return db.execute(query, (pipeline, owner, owner)).fetchone() is not None


def applied_offsets(db: sqlite3.Connection) -> dict[Changelog, AppliedOffsets]:
    """The applied offsets found in each changelog."""
    offsets: dict[Changelog, AppliedOffsets] = {"jobs": {}, "assets": {}}
    for name, topic, partition, offset in db.execute("SELECT changelog, topic, partition, offset FROM applied"):
        offsets[name][(topic, partition)] = offset
    return offsets


def counts(db: sqlite3.Connection, owner: str | None) -> Counts:
    """Numbers of jobs, steps and assets, of one owner or of all (None)."""
    where, args = ("WHERE owner = ?", (owner,)) if owner is not None else ("", ())
    groups = db.execute(f"SELECT pipeline, status, states, jobs FROM groups {where}", args).fetchall()  # noqa: S608
    assets = db.execute(f"SELECT status, count(*) FROM assets {where} GROUP BY status", args).fetchall()  # noqa: S608
    return Counts(_count_rows(groups), dict(assets))


def _count_rows(groups: Iterable[tuple[str, str, str, int]]) -> list[CountRow]:
    totals: Counter[tuple[str, str, str]] = Counter()
    for pipeline, status, states, jobs in groups:
        totals[pipeline, "", status] += jobs
        for step, step_status in step_counts(states):
            totals[pipeline, step, step_status] += jobs
    return [CountRow(*key, jobs) for key, jobs in totals.items()]


def count_by_status(db: sqlite3.Connection, listing: Listing) -> dict[str, int]:
    """Number of jobs that match the listing's filters, by status."""
    totals: Counter[str] = Counter()
    if listing.is_grouped:
        where, args = joined(listing.groups), bound_values(listing.groups)
        groups = db.execute(f"SELECT status, sum(jobs) FROM groups WHERE {where} GROUP BY status", args)  # noqa: S608
        return dict(groups.fetchall())
    source = listing.source if listing.words is None else f"{listing.spec.table} NOT INDEXED"
    counts = f"SELECT g, count(*) AS jobs FROM {source} WHERE {listing.where} GROUP BY g"  # noqa: S608
    query = f"SELECT status, counts.jobs FROM ({counts}) AS counts CROSS JOIN groups USING (g)"  # noqa: S608
    for status, jobs in db.execute(query, listing.args):
        totals[status] += jobs
    return dict(totals)


def failures(db: sqlite3.Connection, owner: str | None, limit: int) -> list[FailureGroup]:
    """Failed jobs by error code, the most frequent first, of one owner or of all (None)."""
    failed: list[Condition] = [("status = 'failed'", ()), *([("owner = ?", (owner,))] if owner is not None else [])]
    by_code = f"SELECT code, sum(jobs) FROM groups WHERE {joined(failed)} GROUP BY code ORDER BY 2 DESC, 1 LIMIT ?"  # noqa: S608
    groups = db.execute(by_code, (*bound_values(failed), limit)).fetchall()
    return [FailureGroup(code, jobs, _newest(db, [*failed, ("code = ?", (code,))])) for code, jobs in groups]


def _newest(db: sqlite3.Connection, conditions: list[Condition]) -> Job:
    condition, args = of_groups(conditions)
    newest = f"SELECT n FROM jobs INDEXED BY jobs_narrow WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT 1"  # noqa: S608
    (row,) = db.execute(f"SELECT row FROM job_rows WHERE n = ({newest})", args).fetchone()  # noqa: S608
    return job_rows.decode(row)


def jobs_before_step(db: sqlite3.Connection, step: str, limit: int) -> list[Job]:
    """The newest open jobs whose step is waiting or delayed."""
    condition, args = of_groups(
        [("instr(states, ?) + instr(states, ?) > 0", (f" {step}=waiting ", f" {step}=delayed "))]
    )
    newest = f"SELECT n, created_at FROM jobs INDEXED BY jobs_open WHERE ended = 0 AND {condition}"  # noqa: S608
    query = f"SELECT row FROM ({newest} ORDER BY created_at DESC LIMIT ?) CROSS JOIN job_rows USING (n)"  # noqa: S608
    return [job_rows.decode(row) for (row,) in db.execute(query, (*args, limit))]


def paused(db: sqlite3.Connection) -> dict[str, float]:
    """Steps whose queue is paused, and since when."""
    return dict(db.execute("SELECT step, changed_at FROM queues WHERE paused").fetchall())


def limits(db: sqlite3.Connection) -> dict[str, int]:
    """Maximum number of active attempts, of steps that have a limit."""
    return dict(db.execute("SELECT step, max_active FROM queues WHERE max_active IS NOT NULL").fetchall())

"""/v1/cache-assets/stats, retry-failed, cleanup: statistics and bulk commands of cached media."""

import sqlite3
from collections.abc import Sequence
from typing import Annotated, get_args

import msgspec
from aiohttp import web

from schemas.commands import DeleteAsset, RetryJob
from schemas.jobs import CACHE_PIPELINE, Job, JobStatus
from web.api.cache.routes import CACHE_STATUSES, IS_CACHED, MAX_ITEMS
from web.api.common import data_response, json_body
from web.api.jobs.bulk import command_all, required
from web.api.jobs.listing import JOBS
from web.auth.middleware import caller_of
from web.cache.lookups import Lookups
from web.http.cursors import WriteCursor
from web.http.routing import Routes
from web.readmodel.commands import Command
from web.readmodel.list_query import parse
from web.services import Services, services
from web.views.models import Affected, Answer, View

routes = Routes("Cached media")


class CleanupRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which cached media to delete."""

    #: Days since its last change; 0: all that is not being downloaded. Required.
    older_than_days: Annotated[float, msgspec.Meta(ge=0)] | None = None


class CacheStatsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Query parameters of the statistics of the cache."""

    #: Only of this owner; only admins see others'.
    owner: str | None = None


class CacheStats(View, frozen=True, kw_only=True):
    """Statistics of the cache."""

    #: Assets by status, zeros included.
    assets: dict[str, int]
    #: Downloads by the status of their job, zeros included.
    jobs: dict[str, int]
    #: Size of all cached media.
    bytes: int
    #: Cache hits and misses of the same owner: of all replicas with Redis, of this replica since its start without.
    hits: int
    misses: int
    #: Null before the first lookup.
    hit_ratio: float | None


@routes.get("/v1/cache-assets/stats", query=CacheStatsQuery, responses={200: Answer[CacheStats]}, problems=(503,))
async def show_cache_stats(request: web.Request) -> web.Response:
    """Count the caller's cached media, its bytes and its lookups; for admins everybody's, or those of one owner."""
    parts, principal = services(request), caller_of(request)
    owner = request.query.get("owner") or principal.scope
    if not principal.sees(owner):
        return data_response(_stats(({}, {}, 0), Lookups()))
    if parts.cache_sharing is not None:
        await parts.cache_sharing.share(owner)
    return data_response(_stats(await parts.model.read(_counts, owner), parts.cache.lookups.of(owner)))


def _stats(counts: tuple[dict[str, int], dict[str, int], int], lookups: Lookups) -> CacheStats:
    assets, jobs, size_bytes = counts
    return CacheStats(
        assets=dict.fromkeys(CACHE_STATUSES, 0) | assets,
        jobs=dict.fromkeys(get_args(JobStatus), 0) | jobs,
        bytes=size_bytes,
        hits=lookups.hits,
        misses=lookups.misses,
        hit_ratio=lookups.hit_ratio,
    )


@routes.post("/v1/cache-assets/retry-failed", responses={202: Answer[Affected]}, problems=(503,))
async def retry_failed(request: web.Request) -> web.Response:
    """Retry every failed download; the response has their number."""
    principal = caller_of(request)

    def command_for(job: Job) -> Command:
        return RetryJob(job_id=job.id, asset_id=job.asset_id, run=job.run, requested_by=principal.owner)

    return await command_all(
        request, parse({"status": "failed", "pipeline": CACHE_PIPELINE}, JOBS, principal.scope), command_for
    )


@routes.post(
    "/v1/cache-assets/cleanup",
    body=CleanupRequest,
    responses={202: Answer[Affected]},
    problems=(400, 413, 415, 422, 503),
)
async def clean_up(request: web.Request) -> web.Response:
    """Delete cached media by age; the response has its number. Executors remove the files."""
    body: CleanupRequest = await json_body(request, CleanupRequest)
    older_than_days = required("older_than_days", body.older_than_days)
    parts, principal = services(request), caller_of(request)
    before = parts.clock.now() - older_than_days * 86_400
    asset_ids = await parts.model.read(_older, principal.scope, before)
    cursor = await delete_all(parts, asset_ids, principal.owner)
    return data_response(Affected(count=len(asset_ids)), status=202, cursor=cursor)


async def delete_all(parts: Services, asset_ids: Sequence[str], requested_by: str | None) -> WriteCursor | None:
    """Send the command that deletes each asset; executors remove its files from the store. Raises Problem (503)."""
    now, cursors = parts.clock.best(), list[WriteCursor]()
    for start in range(0, len(asset_ids), MAX_ITEMS):
        batch = asset_ids[start : start + MAX_ITEMS]
        commands = [DeleteAsset(asset_id=asset_id, requested_at=now, requested_by=requested_by) for asset_id in batch]
        cursors.append(await parts.commands.send(commands))
        for asset_id in batch:
            parts.cache.forget(asset_id)
    return WriteCursor.merge(parts.position.log or "", cursors) if cursors else None


def _counts(db: sqlite3.Connection, owner: str | None) -> tuple[dict[str, int], dict[str, int], int]:
    """Assets by status, jobs by status, bytes."""
    whose, args = ("AND owner = ?", (owner,)) if owner is not None else ("", ())
    jobs = f"SELECT status, sum(jobs) FROM groups WHERE pipeline = ? {whose} GROUP BY status"  # noqa: S608  constant names
    assets = f"SELECT status, count(*) FROM assets WHERE {IS_CACHED} {whose} GROUP BY status"  # noqa: S608
    size = "ifnull(sum(json_extract(CAST(row AS TEXT), '$.outputs.download.size_bytes')), 0)"
    sizes = f"SELECT {size} FROM assets CROSS JOIN asset_rows USING (n) WHERE status = 'CACHED' {whose}"  # noqa: S608
    return (
        dict(db.execute(assets, args).fetchall()),
        dict(db.execute(jobs, (CACHE_PIPELINE, *args)).fetchall()),
        int(db.execute(sizes, args).fetchone()[0]),
    )


def _older(db: sqlite3.Connection, owner: str | None, before: float) -> list[str]:
    """Ids of cached media without running jobs whose last change was before that time."""
    whose, args = ("AND owner = ?", (owner,)) if owner is not None else ("", ())
    still = "EXISTS (SELECT 1 FROM jobs WHERE asset_id = assets.id AND NOT ended)"
    query = f"SELECT id FROM assets WHERE {IS_CACHED} AND updated_at <= ? {whose} AND NOT {still}"  # noqa: S608  constant names
    return [an_id for (an_id,) in db.execute(query, (before, *args))]

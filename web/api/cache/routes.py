"""/v1/cache-assets: list and show cached media."""

import sqlite3
from collections.abc import Sequence

from aiohttp import web
from msgspec import UNSET, UnsetType

from schemas.jobs import Asset
from streams.kafka.envelope import iso_time
from web.api.common import base_url, data_response, visible_asset, wait_for_cursor
from web.api.paging import page
from web.auth.middleware import caller_of
from web.http.problems import not_found
from web.http.routing import Routes
from web.readmodel.changelog import asset_rows
from web.readmodel.list_query import SORTS, ListQuery, ListSpec, parse
from web.views.build import media_url
from web.views.models import Answer, Page, Time, View

routes = Routes("Cached media")

#: Most URLs or ids in one request.
MAX_ITEMS = 1_000
#: Statuses of cached media.
CACHE_STATUSES = ("PENDING", "DOWNLOADING", "CACHED", "FAILED")
#: The pipeline is CACHE_PIPELINE.
IS_CACHED = """
(status IN ('PENDING', 'DOWNLOADING', 'CACHED')
 OR status = 'FAILED' AND id IN (SELECT asset_id FROM jobs JOIN groups USING (g) WHERE pipeline = 'cache'))
"""
_LISTED = ListSpec("assets", frozenset(CACHE_STATUSES), frozenset(), SORTS)


class CacheAssetView(View, frozen=True, kw_only=True):
    """One cached file."""

    id: str
    #: PENDING, DOWNLOADING, CACHED or FAILED.
    status: str
    #: The URL it was downloaded from.
    original: str | None
    created_at: Time
    updated_at: Time
    #: Why it failed: an error code, or "cancelled".
    reason: str | UnsetType = UNSET
    owner: str | UnsetType = UNSET
    #: The newest of its jobs.
    job_id: str | UnsetType = UNSET
    #: Key in the store.
    object: str | UnsetType = UNSET
    size_bytes: int | UnsetType = UNSET
    #: Hex.
    sha256: str | UnsetType = UNSET
    #: "video", "audio" or "image".
    family: str | UnsetType = UNSET
    content_type: str | UnsetType = UNSET
    #: URL of the file, for requests with a token.
    media_url: str | None = None


class CacheQuery(ListQuery, frozen=True, kw_only=True):
    """Query parameters of the list of cached media."""

    #: Only cached media with one of these statuses, separated by commas: PENDING, DOWNLOADING, CACHED, FAILED.
    status: str | None = None


@routes.get("/v1/cache-assets", query=CacheQuery, responses={200: Page[CacheAssetView]}, problems=(400, 503))
async def list_cache_assets(request: web.Request) -> web.Response:
    """List cached media, the newest first by default."""
    listing = parse(request.query, _LISTED, caller_of(request).scope)
    await wait_for_cursor(request, "assets")
    listing = listing._replace(conditions=(*listing.conditions, (IS_CACHED, ())))
    base = base_url(request)
    return await page(request, listing, lambda row: cache_view(asset_rows.decode(row), base))


@routes.get("/v1/cache-assets/{asset_id}", responses={200: Answer[CacheAssetView]}, problems=(400, 404, 503))
async def show_cache_asset(request: web.Request) -> web.Response:
    """Show a cached file."""
    asset = await visible_asset(request, caller_of(request), request.match_info["asset_id"])
    if asset.input.url is None or asset.status not in CACHE_STATUSES:
        raise not_found("cached media")
    return data_response(cache_view(asset, base_url(request)))


def cache_view(asset: Asset, base: str) -> CacheAssetView:
    """Render the asset as cached media."""
    download = asset.outputs.get("download", {})
    newest = max(asset.jobs, key=lambda job_id: asset.jobs[job_id].created_at, default=None)
    names = ("object", "size_bytes", "sha256", "family", "content_type")
    return CacheAssetView(
        id=asset.id,
        status=asset.status,
        original=asset.input.url,
        created_at=iso_time(asset.created_at),
        updated_at=iso_time(asset.updated_at),
        reason=asset.reason or UNSET,
        owner=asset.owner or UNSET,
        job_id=newest or UNSET,
        media_url=media_url(asset.id, download.get("object"), f"{base}/media"),
        **{name: download[name] for name in names if name in download},
    )


def assets_by_id(db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Asset]:
    """Assets with these ids, by id; missing ones are left out."""
    marks = ", ".join("?" * len(ids))
    query = f"SELECT id, row FROM assets CROSS JOIN asset_rows USING (n) WHERE id IN ({marks})"  # noqa: S608  only marks
    return {an_id: asset_rows.decode(row) for an_id, row in db.execute(query, tuple(ids))}

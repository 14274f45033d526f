"""GET /api/admin/media/jobs: the status of media, for an admin page."""

from typing import Literal

import msgspec
from aiohttp import web

from schemas.jobs import Asset, AssetStatus
from web.api.common import base_url, json_response, visible_asset
from web.auth.middleware import caller_of
from web.http.problems import Problem
from web.http.routing import Routes
from web.readmodel import queries
from web.readmodel.job_progress import job_progress
from web.services import Services, services
from web.views.build import master_key, media_url, poster_key, thumbnail_keys, whole_percent
from web.views.models import View

routes = Routes("Replaced: media admin")

_TTL_S = 3600
Status = Literal["UPLOADED", "PROCESSING", "READY", "FAILED"]
#: The replaced system has no statuses for cached media.
STATUSES: dict[AssetStatus, Status] = {
    "UPLOADED": "UPLOADED",
    "PROCESSING": "PROCESSING",
    "READY": "READY",
    "FAILED": "FAILED",
    "PENDING": "UPLOADED",
    "DOWNLOADING": "PROCESSING",
    "CACHED": "READY",
}


class MediaQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Query parameters of the status of media."""

    #: The asset's id.
    mediaId: str  # noqa: N815  the replaced system's name


class Media(View, frozen=True, kw_only=True, rename="camel"):
    """An asset and its newest job. URLs are absolute, signed, and valid for an hour."""

    media_id: str
    status: Status
    file_name: str | None
    job_id: str | None
    job_state: Literal["waiting", "active", "completed", "failed", "cancelled"] | None
    #: 0-100.
    progress: int
    manifest_url: str | None
    #: In the order of time; only the poster where there are none.
    thumbnails: list[str]


@routes.get("/api/admin/media/jobs", query=MediaQuery, responses={200: Media}, problems=(400, 404))
async def show_media(request: web.Request) -> web.Response:
    """Show the status of an asset and its newest job."""
    media_id = request.query.get("mediaId")
    if not media_id:
        raise Problem(400, "missing-parameter", "mediaId is required")
    asset = await visible_asset(request, caller_of(request), media_id)
    return json_response(await _media(services(request), asset, media_id, base_url(request)))


async def _media(parts: Services, asset: Asset, media_id: str, base: str) -> Media:
    job_id = max(asset.jobs, key=lambda an_id: (asset.jobs[an_id].created_at, an_id), default=None)
    job = await parts.model.read(queries.job, job_id) if job_id else None
    signed = base + parts.signer.prefix(asset.id, parts.signer.expiry(_TTL_S))
    keys: list[str | None] = [*thumbnail_keys(asset)] or [poster_key(asset)]
    pictures = [media_url(asset.id, key, signed) for key in keys]
    return Media(
        media_id=media_id,
        status=STATUSES[asset.status],
        file_name=asset.filename,
        job_id=job_id,
        job_state=job.status if job else asset.jobs[job_id].status if job_id else None,
        progress=whole_percent(job_progress(job, parts.progress.live(job.id, job.run))) if job else 0,
        manifest_url=media_url(asset.id, master_key(asset.outputs), signed),
        thumbnails=[picture for picture in pictures if picture is not None],
    )

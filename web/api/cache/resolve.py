"""/v1/cache-assets/resolve: ids -> URLs of cached media."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from processors.storage.bucket_store import BucketStore
from processors.storage.errors import ObjectNotFound
from processors.storage.keys import InvalidKey, checked_key
from schemas.jobs import Asset
from web.api.cache.routes import MAX_ITEMS, assets_by_id
from web.api.common import base_url, data_response, json_body
from web.api.source_access import may_read_object
from web.auth.middleware import caller_of
from web.auth.principal import Principal
from web.http.problems import Problem
from web.http.routing import Routes
from web.services import Services, services
from web.views.build import media_url
from web.views.models import Answer, View

routes = Routes("Cached media")

#: Concurrent HEAD requests to the store.
_CONCURRENT_HEADS = 16


class ResolveRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/cache-assets/resolve`."""

    #: Ids of cached media, or keys of the store that the caller may read; at most 1,000.
    ids: list[str]
    #: URLs to return for ids that are not cached, in the same order; unset: the known original.
    originals: list[str | None] = []


class Resolved(View, frozen=True, kw_only=True):
    """URL and status of one id."""

    id: str
    #: Signed and served here or by the bucket, when cached; the original otherwise.
    url: str | None
    #: PENDING, DOWNLOADING, CACHED, FAILED, or UNKNOWN.
    status: str
    #: Why it failed: an error code, or "cancelled".
    reason: str | UnsetType = UNSET


@routes.post(
    "/v1/cache-assets/resolve",
    access="viewer",
    body=ResolveRequest,
    responses={200: Answer[list[Resolved]]},
    problems=(400, 413, 415, 422, 503),
)
async def resolve_cache_assets(request: web.Request) -> web.Response:
    """Resolve ids to URLs, in order: signed URLs of what is cached, the originals otherwise."""
    body: ResolveRequest = await json_body(request, ResolveRequest)
    if len(body.ids) > MAX_ITEMS or len(body.originals) > len(body.ids):
        raise Problem(422, "invalid-body", f"at most {MAX_ITEMS} ids are allowed, and no more originals than ids")
    parts = services(request)
    locations = await _locations(parts, caller_of(request), body.ids)
    urls = await _urls(parts, locations, base_url(request))
    originals = [*body.originals, *[None] * (len(body.ids) - len(body.originals))]
    return data_response(
        [
            Resolved(
                id=one,
                url=urls.get(one) or original or locations[one].original,
                status=locations[one].status,
                reason=locations[one].reason or UNSET,
            )
            for one, original in zip(body.ids, originals, strict=True)
        ]
    )


class _Location(NamedTuple):
    """Location of the media of one id."""

    status: str
    #: The URL it was downloaded from.
    original: str | None = None
    #: Key in the store, when it is cached.
    key: str | None = None
    #: Why it failed.
    reason: str | None = None


_UNKNOWN = _Location("UNKNOWN")


async def _locations(parts: Services, principal: Principal, ids: Sequence[str]) -> dict[str, _Location]:
    assets = await parts.model.read(assets_by_id, ids)
    locations = {asset.id: _location(asset) for asset in assets.values() if principal.sees(asset.owner)}
    keys = {one for one in ids if one not in assets and ("/" in one or "." in one)}
    for one in ids:
        location = locations.setdefault(one, _UNKNOWN)
        if one not in keys:
            parts.cache.lookups.count(principal.owner, hit=location.key is not None)
        if location.key is not None:
            parts.cache.use(one)
    return locations | await _objects(parts, principal, keys)


def _location(asset: Asset) -> _Location:
    key = asset.outputs.get("download", {}).get("object")
    if key:
        return _Location("CACHED", asset.input.url, key)
    return _Location(asset.status, asset.input.url, None, asset.reason)


async def _objects(parts: Services, principal: Principal, keys: Iterable[str]) -> dict[str, _Location]:
    """Locations of store keys that the caller may read; files of assets are resolved by the asset's id only."""
    limit = asyncio.Semaphore(_CONCURRENT_HEADS)

    async def locate(key: str) -> _Location:
        if not await may_read_object(parts, principal, key):
            return _UNKNOWN
        try:
            async with limit:
                await parts.store.head(checked_key(key))
        except (ObjectNotFound, InvalidKey):
            return _UNKNOWN
        return _Location("CACHED", key=key)

    readable = [key for key in keys if not key.startswith(("assets/", "uploads/"))]
    return dict(zip(readable, await asyncio.gather(*map(locate, readable)), strict=True))


async def _urls(parts: Services, locations: Mapping[str, _Location], base: str) -> dict[str, str | None]:
    """URLs of the media in the store, by id."""
    keys = {one: location.key for one, location in locations.items() if location.key is not None}
    ttl_s = parts.settings.cache.url_ttl_s
    if isinstance(parts.store, BucketStore):
        return dict(zip(keys, await parts.store.presigned_all("GET", list(keys.values()), ttl_s), strict=True))
    expires, signer = parts.signer.expiry(ttl_s), parts.signer
    return {
        one: base + signer.object_path(key, expires)
        if one == key
        else media_url(one, key, base + signer.prefix(one, expires))
        for one, key in keys.items()
    }

"""/media: published files, whole or in part, by token or by signed URL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp import web

from processors.storage.bucket_store import BucketStore
from processors.storage.errors import ObjectNotFound
from processors.storage.keys import IMMUTABLE, InvalidKey, checked_key, content_type
from processors.storage.object_reader import StoredObject
from web.api.asset_ids import visible_asset_id
from web.auth.middleware import caller_of
from web.http.byte_ranges import Span, Unsatisfiable, etag_matches, range_allowed, span
from web.http.problems import Problem, not_found
from web.http.routing import Routes
from web.services import Services, services

routes = Routes("Media")
#: Responses to a request for a file; 302 redirects to the bucket.
_BYTES = {200: "application/octet-stream", 206: "application/octet-stream", 302: None, 304: None}
#: Texts up to this size are sent in one piece, so that they are compressed.
_TEXTS, _TEXT_BYTES = (".m3u8", ".vtt", ".srt", ".json", ".txt"), 2 * 1024**2
#: Validity of a presigned URL of the bucket, seconds.
_REDIRECT_S = 3600


# The signed one first: "s" would be an asset id otherwise.
@routes.get("/media/s/{grant}/{asset_id}/{path:.+}", access="signed", responses=_BYTES, problems=(403, 404, 416, 503))
async def signed_file(request: web.Request) -> web.StreamResponse:
    """Serve a file by its signed URL."""
    asset_id, grant = request.match_info["asset_id"], request.match_info["grant"]
    if not services(request).signer.allows(grant, asset_id):
        raise Problem(403, "address-expired", "this URL is invalid or has expired: request a new one")
    return await _serve(request, _key(asset_id, request.match_info["path"]))


@routes.get("/media/o/{grant}/{path:.+}", access="signed", responses=_BYTES, problems=(403, 404, 416, 503))
async def signed_object(request: web.Request) -> web.StreamResponse:
    """Serve an object outside of assets by its signed URL."""
    key = request.match_info["path"]
    if not services(request).signer.allows_object(request.match_info["grant"], key):
        raise Problem(403, "address-expired", "this URL is invalid or has expired: request a new one")
    return await _serve(request, key)


@routes.get("/media/{asset_id}/{path:.+}", responses=_BYTES, problems=(404, 416, 503))
async def own_file(request: web.Request) -> web.StreamResponse:
    """Serve a file of an asset that the caller may see."""
    asset_id = await visible_asset_id(services(request), caller_of(request), request.match_info["asset_id"])
    if asset_id is None:
        raise not_found("file")
    return await _serve(request, _key(asset_id, request.match_info["path"]))


async def _serve(request: web.Request, key: str) -> web.StreamResponse:
    parts = services(request)
    bucket = _redirect_target(parts, key) if request.method == "GET" else None
    if bucket is not None:
        address = await bucket.presigned("GET", key, _REDIRECT_S)
        # For less time than the URL is valid.
        raise web.HTTPFound(address, headers={"Cache-Control": f"private, max-age={_REDIRECT_S // 2}"})
    stored = await parts.store.head(key)
    headers = _headers(key, stored)
    if etag_matches(request.headers.get("If-None-Match"), stored.etag):
        return web.Response(status=304, headers=headers)
    try:
        part = (
            span(request.headers.get("Range"), stored.size_bytes)
            if range_allowed(request.headers.get("If-Range"), stored.etag, stored.modified_at, datetime.now(UTC))
            else None
        )
    except Unsatisfiable as error:
        beyond = {"Content-Range": f"bytes */{stored.size_bytes}"}
        raise Problem(
            416,
            "range-not-satisfiable",
            f"the range is beyond the end of the file, which has {stored.size_bytes} bytes",
            beyond,
        ) from error
    return await _send(request, stored, part, headers)


def _redirect_target(parts: Services, key: str) -> BucketStore | None:
    """The bucket that readers are redirected to. None for files with relative URLs: those resolve here only."""
    if not parts.settings.store.redirect or key.endswith((".m3u8", ".vtt")):
        return None
    return parts.store if isinstance(parts.store, BucketStore) else None


def _key(asset_id: str, path: str) -> str:
    """The store key of a path below the asset's folder. Raises Problem (404) for any other path."""
    try:
        checked_key(asset_id)
        if "/" in asset_id:
            raise InvalidKey("an asset id must not have a slash")
        return checked_key(f"assets/{asset_id}/{path}")
    except InvalidKey as error:
        raise not_found("file") from error


def _headers(key: str, stored: StoredObject) -> dict[str, str]:
    return {
        "Content-Type": content_type(key),
        "ETag": stored.etag,
        "Last-Modified": format_datetime(stored.modified_at, usegmt=True),
        "Accept-Ranges": "bytes",
        "Cache-Control": IMMUTABLE,
    }


async def _send(
    request: web.Request, stored: StoredObject, part: Span | None, headers: dict[str, str]
) -> web.StreamResponse:
    start, end = part or Span(0, stored.size_bytes)
    response = web.StreamResponse(status=200 if part is None else 206, headers=headers)
    response.content_length = end - start
    if part is not None:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size_bytes}"
    if request.method == "HEAD" or start == end:
        await response.prepare(request)
        return response
    chunks = services(request).store.get(stored.key, start, end)
    if part is None and stored.size_bytes <= _TEXT_BYTES and stored.key.endswith(_TEXTS):
        return web.Response(body=b"".join([chunk async for chunk in chunks]), headers=headers)
    first = await _first(chunks)  # before the headers leave: a file that has just gone is still a 404
    await response.prepare(request)
    await response.write(first)
    async for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    return response


async def _first(chunks: AsyncIterator[bytes]) -> bytes:
    async for chunk in chunks:
        return chunk
    raise ObjectNotFound("the file has no bytes")

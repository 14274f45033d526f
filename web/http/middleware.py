"""How the interface behaves whatever is asked: limits on what comes in; ETags, compression, CORS on what goes out."""

import asyncio
import gzip
import hashlib
from collections.abc import Awaitable, Callable

import brotli
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from streams.settings import Web
from web.http.byte_ranges import matches
from web.http.problems import CLOSE, Problem
from web.http.routing import Handler, declared

#: What is worth compressing; media is compressed already.
_TEXTS = frozenset(
    {"application/json", "application/problem+json", "application/schema+json", "text/html", "text/plain", "text/csv"}
)
#: Below this a header costs more than is saved.
_LEAST_BYTES = 1024
#: Above this compressing takes long enough for a thread.
_THREAD_BYTES = 64 * 1024
_BROTLI_QUALITY, _GZIP_LEVEL = 4, 5
_PREFLIGHT_S = 600
_METHODS = "GET, HEAD, POST, PATCH, DELETE"
#: The second half of both: resumable uploads. Source: tus resumable upload protocol 1.0.0.
_EXPOSED = (
    "ETag, X-Request-Id, Retry-After, Content-Range, Accept-Ranges, Location, "
    "Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Upload-Offset, Upload-Length, Upload-Metadata, "
    "Upload-Expires, Kinolog-Asset-Id, Kinolog-Job-Id"
)
_ASKED_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Range, X-Request-Id, Last-Event-ID, "
    "Tus-Resumable, Upload-Offset, Upload-Length, Upload-Metadata"
)


def limits(settings: Web) -> Middleware:
    """Middleware that refuses what is too large before it is read."""

    @web.middleware
    async def limited(request: web.Request, handler: Handler) -> web.StreamResponse:
        size = sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
        if size > settings.max_headers_bytes:
            detail = f"the headers have {size} bytes; at most {settings.max_headers_bytes} are allowed"
            raise Problem(431, "headers-too-large", detail, CLOSE)
        route = declared(request)
        takes_files = route is not None and isinstance(route.body, tuple)
        if not takes_files and (request.content_length or 0) > settings.max_body_bytes:
            detail = f"the body has {request.content_length} bytes; at most {settings.max_body_bytes} are allowed"
            raise Problem(413, "body-too-large", detail, CLOSE)
        return await handler(request)

    return limited


def settling(settled: Callable[[], Awaitable[None]]) -> Middleware:
    """Middleware that lets the interface wait until a process that has just started knows what the last one showed."""

    @web.middleware
    async def settled_first(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(("/v1/", "/api/")):
            await settled()
        return await handler(request)

    return settled_first


@web.middleware
async def conditional(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Gives what is declared so its ETag, and answers 304 to who has it already. Source: RFC 9110 section 13."""
    response = await handler(request)
    route = declared(request)
    if route is None or not route.etag or response.status != 200 or not isinstance(response, web.Response):
        return response
    body = response.body
    assert isinstance(body, bytes)
    # Weak: it is the same for every Content-Encoding.
    etag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    if matches(request.headers.get(hdrs.IF_NONE_MATCH), etag):
        return web.Response(status=304, headers=headers)
    response.headers.update(headers)
    return response


@web.middleware
async def compressed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Compresses text for who takes it."""
    response = await handler(request)
    if not isinstance(response, web.Response) or response.prepared or not isinstance(response.body, bytes):
        return response
    body, coding = response.body, preferred_coding(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
    if response.content_type not in _TEXTS or hdrs.CONTENT_ENCODING in response.headers:
        return response
    response.headers.add("Vary", "Accept-Encoding")
    if coding is None or len(body) < _LEAST_BYTES:
        return response
    encode = _brotli if coding == "br" else _gzip
    response.body = await asyncio.to_thread(encode, body) if len(body) > _THREAD_BYTES else encode(body)
    response.headers[hdrs.CONTENT_ENCODING] = coding
    return response


def preferred_coding(accepted: str) -> str | None:
    """br or gzip, whichever the client takes rather; None: neither. Source: RFC 9110 section 12.5.3."""
    weights: dict[str, float] = {}
    for part in accepted.lower().split(","):
        name, _, rest = part.partition(";")
        try:
            weights[name.strip()] = float(rest.partition("=")[2]) if "q=" in rest else 1.0
        except ValueError:
            weights[name.strip()] = 0.0
    best = max(("br", "gzip"), key=lambda name: weights.get(name, weights.get("*", 0.0)))
    return best if weights.get(best, weights.get("*", 0.0)) > 0 else None


def _brotli(body: bytes) -> bytes:
    found: bytes = brotli.compress(body, quality=_BROTLI_QUALITY)
    return found


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, _GZIP_LEVEL, mtime=0)


def cors(origins: tuple[str, ...]) -> Middleware:
    """Middleware that lets the pages of these origins call. Source: Fetch Standard, CORS protocol."""

    @web.middleware
    async def shared(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN)
        allowed = origin is not None and (origin in origins or "*" in origins)
        if not allowed:
            return await handler(request)
        assert origin is not None
        if request.method == "OPTIONS" and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
            return web.Response(status=204, headers=_preflight(origin))
        request[ALLOWED_ORIGIN] = origin
        return await handler(request)

    return shared


#: The origin that may read the answer.
ALLOWED_ORIGIN = web.RequestKey("allowed_origin", str)


def _preflight(origin: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": _ASKED_HEADERS,
        "Access-Control-Max-Age": str(_PREFLIGHT_S),
        "Vary": "Origin",
    }


async def share_answer(request: web.Request, response: web.StreamResponse) -> None:
    """Signal before an answer leaves: says which page may read it, streams included."""
    origin = request.get(ALLOWED_ORIGIN)
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        response.headers.add("Vary", "Origin")

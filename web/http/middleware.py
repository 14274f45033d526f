"""Middleware for every route: size limits of requests; ETags, compression and CORS of responses."""

import asyncio
import gzip
import hashlib
from collections.abc import Awaitable, Callable

import brotli
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from streams.settings.interface import Web
from web.http.byte_ranges import etag_matches
from web.http.fair_semaphore import FairSemaphore
from web.http.problems import CLOSE, Problem
from web.http.routing import Handler, route_of

#: Content types worth compressing; media is already compressed.
_TEXTS = frozenset(
    {
        *(
            "application/json",
            "application/problem+json",
            "application/schema+json",
            "text/html",
            "text/plain",
            "text/csv",
        ),
        *("application/vnd.apple.mpegurl", "text/vtt", "application/x-subrip"),
    }
)
#: Below this the header costs more than compression saves.
_LEAST_BYTES = 1024
#: Above this compression and digests run in a thread.
_THREAD_BYTES = 64 * 1024
_BROTLI_QUALITY, _GZIP_LEVEL = 4, 5
#: Large responses that are compressed at a time.
_COMPRESSIONS = 4
#: Further ones wait: they are bounded by the requests in progress.
_COMPRESSIONS_WAITING = 2**31
_PREFLIGHT_S = 600
#: Source: RFC 9110 section 8.4.1: no coding; section 12.5.3 for its place in a 415.
_IDENTITY = "identity"
_METHODS = "GET, HEAD, POST, PATCH, DELETE"
#: The second half of both is for resumable uploads. Source: tus resumable upload protocol 1.0.0.
_EXPOSED = (
    "ETag, X-Request-Id, Retry-After, Content-Range, Accept-Ranges, Location, "
    "Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Upload-Offset, Upload-Length, Upload-Metadata, "
    "Upload-Expires, Upload-Concat, Upload-Defer-Length, Tus-Checksum-Algorithm, Kinolog-Asset-Id, Kinolog-Job-Id"
)
_REQUEST_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Range, X-Request-Id, Last-Event-ID, "
    "Tus-Resumable, Upload-Offset, Upload-Length, Upload-Metadata, "
    "Upload-Concat, Upload-Defer-Length, Upload-Checksum, X-HTTP-Method-Override"
)


def limits(settings: Web) -> Middleware:
    """Middleware that rejects requests that are too large before their body is read."""

    @web.middleware
    async def limited(request: web.Request, handler: Handler) -> web.StreamResponse:
        size = sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
        if size > settings.max_headers_bytes:
            detail = f"the headers have {size} bytes; at most {settings.max_headers_bytes} are allowed"
            raise Problem(431, "headers-too-large", detail, CLOSE)
        coding = request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower() or _IDENTITY
        if coding != _IDENTITY and request.body_exists:
            detail = f"the body is encoded with {coding[:50]!r}: send it as it is"
            raise Problem(415, "unsupported-content-encoding", detail, CLOSE | {hdrs.ACCEPT_ENCODING: _IDENTITY})
        route = route_of(request)
        takes_files = route is not None and isinstance(route.body, tuple)
        if not takes_files and (request.content_length or 0) > settings.max_body_bytes:
            detail = f"the body has {request.content_length} bytes; at most {settings.max_body_bytes} are allowed"
            raise Problem(413, "body-too-large", detail, CLOSE)
        return await handler(request)

    return limited


def waiting_for(resumed: Callable[[], Awaitable[None]]) -> Middleware:
    """Middleware that holds API requests until a restarted process has the progress that its predecessor showed."""

    @web.middleware
    async def waited(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(("/v1/", "/api/")):
            await resumed()
        return await handler(request)

    return waited


@web.middleware
async def conditional(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Adds an ETag on routes declared with `etag`; 304 when the client has it already. Source: RFC 9110 section 13."""
    response = await handler(request)
    route = route_of(request)
    if route is None or not route.etag or response.status != 200 or not isinstance(response, web.Response):
        return response
    body = response.body
    assert isinstance(body, bytes)
    # Weak, because it is the same for every Content-Encoding.
    etag = f'W/"{await asyncio.to_thread(_digest, body) if len(body) > _THREAD_BYTES else _digest(body)}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    if etag_matches(request.headers.get(hdrs.IF_NONE_MATCH), etag):
        return web.Response(status=304, headers=headers)
    response.headers.update(headers)
    return response


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=12).hexdigest()


def compressing(turns: FairSemaphore) -> Middleware:
    """Middleware that compresses text for clients that accept it; `turns` of callers with large responses."""

    @web.middleware
    async def compressed(request: web.Request, handler: Handler) -> web.StreamResponse:
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
        if len(body) > _THREAD_BYTES:
            async with turns.slot():
                response.body = await asyncio.to_thread(encode, body)
        else:
            response.body = encode(body)
        response.headers[hdrs.CONTENT_ENCODING] = coding
        if (etag := response.headers.get(hdrs.ETAG, "")).startswith('"'):
            response.headers[hdrs.ETAG] = f"W/{etag}"  # other bytes than those of the file
        return response

    return compressed


def compression_turns() -> FairSemaphore:
    """One large response of a caller at a time: the others' threads and processors stay free."""
    return FairSemaphore(_COMPRESSIONS, per_caller=1, queue=_COMPRESSIONS_WAITING)


def preferred_coding(accepted: str) -> str | None:
    """br or gzip, whichever the client prefers; None: neither. Source: RFC 9110 section 12.5.3."""
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
    compressed_body: bytes = brotli.compress(body, quality=_BROTLI_QUALITY)
    return compressed_body


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, _GZIP_LEVEL, mtime=0)


def cors(origins: tuple[str, ...]) -> Middleware:
    """Middleware that allows requests from pages of these origins. Source: Fetch Standard, CORS protocol."""

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


#: The origin whose pages may read the response.
ALLOWED_ORIGIN = web.RequestKey("allowed_origin", str)


def _preflight(origin: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": _REQUEST_HEADERS,
        "Access-Control-Max-Age": str(_PREFLIGHT_S),
        "Vary": "Origin",
    }


async def add_cors_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler before a response is sent, streams included: adds the CORS headers."""
    origin = request.get(ALLOWED_ORIGIN)
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        response.headers.add("Vary", "Origin")

"""Headers of every response: a request id, and restrictions for browsers."""

import random
import re

from aiohttp import web

from web.http.problems import REQUEST_ID
from web.http.routing import Handler

#: Not secret; a system call for each request costs more than the rest of its headers.
_ids = random.Random()  # noqa: S311
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}")

#: Policy of everything but the page: no served file may act as a document.
BYTES_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"


def page_policy(bucket_origin: str | None = None) -> str:
    """Content security policy of the page: its own scripts and styles, media from this server and the bucket.

    hls.js needs blob: for its worker and for Media Source, data: for caption tracks, which it makes empty, and fetches
    what it plays. Source: CSP Level 3.
    """
    media = f" {bucket_origin}" if bucket_origin is not None else ""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:{media}; "
        f"media-src 'self' blob: data:{media}; connect-src 'self'{media}; font-src 'self'; worker-src 'self' blob:; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@web.middleware
async def identified(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Assigns the request id: the caller's X-Request-Id where it is valid."""
    requested = request.headers.get("X-Request-Id", "")
    request[REQUEST_ID] = requested if _REQUEST_ID.fullmatch(requested) else f"{_ids.getrandbits(64):016x}"
    return await handler(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler before a response is sent: adds the headers that are missing."""
    headers = response.headers
    headers["X-Request-Id"] = request.get(REQUEST_ID, "")
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers["X-Frame-Options"] = "DENY"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers.setdefault("Content-Security-Policy", BYTES_POLICY)
    headers.setdefault("Cache-Control", "no-store")
    headers["Server"] = "kinolog"

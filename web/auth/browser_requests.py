"""Checks against pages of other sites in a user's browser: the origin, the host and the content type of requests.

Browsers do not send tokens on their own, so with authentication only live connections are checked. Without it every
request counts as an admin's, so every route is. Source: OWASP CSRF Prevention Cheat Sheet; W3C Fetch Metadata.
"""

from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from streams.process.exposure import is_loopback
from streams.settings import Settings
from streams.settings.interface import Web
from web.http.problems import CLOSE, Problem
from web.http.routing import Handler, route_of

_FOREIGN_SITES = frozenset({"cross-site", "same-site"})
_NO_BODY = frozenset({"GET", "HEAD", "OPTIONS"})


def browser_guard(settings: Settings) -> Middleware:
    """Middleware that rejects requests of other sites' pages while authentication is disabled."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not settings.auth.enabled:
            _require_own_host(request, settings.web)
            _require_own_site(request, settings.web)
            _require_declared_body(request)
        return await handler(request)

    return guarded


def require_same_origin(request: web.Request, settings: Web) -> None:
    """Raise Problem (403) for a request from a page of another origin, unless the settings allow that origin."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None or origin in settings.cors_origins or "*" in settings.cors_origins:
        return
    sender = _netloc(origin)
    if not sender or sender not in (request.host.lower(), _netloc(settings.public_url or "")):
        raise _foreign_origin()


def _require_own_site(request: web.Request, settings: Web) -> None:
    require_same_origin(request, settings)
    # Requests for pictures have no Origin.
    is_foreign = hdrs.ORIGIN not in request.headers and request.headers.get("Sec-Fetch-Site") in _FOREIGN_SITES
    if is_foreign and not _opens_the_page(request):
        raise _foreign_origin()


def _opens_the_page(request: web.Request) -> bool:
    """Whether a link was followed to a page that is the same for everybody."""
    route = route_of(request)
    is_navigation = request.headers.get("Sec-Fetch-Mode") == "navigate"
    return is_navigation and request.method == "GET" and route is not None and route.access == "public"


def _require_own_host(request: web.Request, settings: Web) -> None:
    """Raise Problem (421) for a name that is not this machine's: a page may have bound its own name to this address."""
    host, public = _hostname(request.headers.get(hdrs.HOST, "")), urlsplit(settings.public_url or "").hostname
    if host is None or not (is_loopback(host) or host in {public, *map(str.lower, settings.allowed_hosts)}):
        detail = (
            "this service is not known by that name: add it to KINOLOG_WEB__ALLOWED_HOSTS, or enable authentication"
        )
        raise Problem(421, "foreign-host", detail, CLOSE)


def _require_declared_body(request: web.Request) -> None:
    """Raise Problem (415) for a JSON body without its content type: a page may send those to any site, unasked."""
    route = route_of(request)
    takes_json = route is not None and not isinstance(route.body, tuple) and request.method not in _NO_BODY
    if takes_json and request.can_read_body and request.content_type != "application/json":
        raise Problem(415, "unsupported-media-type", "the body must be application/json", CLOSE)


def _foreign_origin() -> Problem:
    return Problem(403, "foreign-origin", "pages of other origins may not use this", CLOSE)


def _hostname(host: str) -> str | None:
    """The name without the port; None where there is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _netloc(origin: str) -> str:
    """Host and port of an origin; empty for `null` and for a malformed one."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""

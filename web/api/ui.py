"""The page and its files, served from web/static."""

from pathlib import Path

from aiohttp import web

from processors.storage.keys import InvalidKey, checked_key
from web.http.encoded_files import encoded_file
from web.http.problems import not_found
from web.http.routing import Routes
from web.http.security_headers import page_policy
from web.services import services

STATIC = Path(__file__).resolve().parents[1] / "static"
#: A URL with a version never changes its content; any other is revalidated, mostly with 304.
_IMMUTABLE = "public, max-age=31536000, immutable"
_REVALIDATE = "no-cache"
_SUFFIXES = frozenset(
    {".css", ".html", ".ico", ".js", ".json", ".map", ".mjs", ".png", ".svg", ".txt", ".webmanifest", ".woff2"}
)

routes = Routes("Pages", hidden=True)


@routes.get("/", access="public", responses={200: "text/html"})
async def show_page(request: web.Request) -> web.StreamResponse:
    """Serve the page; it has no secrets and is the same for every user."""
    return await page_file(request, "index.html")


@routes.get("/favicon.ico", access="public", responses={204: None})
async def show_icon(request: web.Request) -> web.StreamResponse:
    """Serve the icon, which browsers request whether the page names one or not."""
    exists = (STATIC / "favicon.ico").is_file()
    return await _file(request, "favicon.ico", _REVALIDATE) if exists else web.Response(status=204)


@routes.get("/static/{path:.+}", access="public", responses={200: "application/octet-stream"}, problems=(404,))
async def show_file(request: web.Request) -> web.StreamResponse:
    """Serve a file of the page."""
    return await _file(request, request.match_info["path"], _IMMUTABLE if "v" in request.query else _REVALIDATE)


async def page_file(request: web.Request, name: str) -> web.StreamResponse:
    """Serve an HTML page, revalidated on each load."""
    return await _file(request, name, _REVALIDATE)


async def _file(request: web.Request, name: str, cache: str) -> web.StreamResponse:
    try:
        path = (STATIC / checked_key(name)).resolve()
    except InvalidKey as error:
        raise not_found("page") from error
    if not (path.is_relative_to(STATIC) and path.suffix in _SUFFIXES and path.is_file()):
        raise not_found("page")
    policy = page_policy(await services(request).bucket_origin.find())
    return await encoded_file(request, path, {"Cache-Control": cache, "Content-Security-Policy": policy})

"""The page and its files, as they stand in web/static."""

from pathlib import Path

from aiohttp import web

from web.http.problems import not_found
from web.http.routing import Routes
from web.http.security_headers import page_policy
from web.services import services

STATIC = Path(__file__).resolve().parents[1] / "static"
#: An address with a version in it never changes its content; any other is asked for again, and mostly answered by 304.
_VERSIONED = "public, max-age=31536000, immutable"
_PLAIN = "no-cache"
_SUFFIXES = frozenset(
    {".css", ".html", ".ico", ".js", ".json", ".map", ".mjs", ".png", ".svg", ".txt", ".webmanifest", ".woff2"}
)

routes = Routes("Pages", hidden=True)


@routes.get("/", access="public", answers={200: "text/html"})
async def show_page(request: web.Request) -> web.StreamResponse:
    """The page itself; it holds no secret and is the same for everybody."""
    return await page_file(request, "index.html")


@routes.get("/favicon.ico", access="public", answers={204: None})
async def show_icon(request: web.Request) -> web.StreamResponse:
    """Browsers ask for one whether the page names it or not."""
    there_is_one = (STATIC / "favicon.ico").is_file()
    return await _file(request, "favicon.ico", _PLAIN) if there_is_one else web.Response(status=204)


@routes.get("/static/{path:.+}", access="public", answers={200: "application/octet-stream"}, problems=(404,))
async def show_file(request: web.Request) -> web.StreamResponse:
    """A file of the page."""
    return await _file(request, request.match_info["path"], _VERSIONED if "v" in request.query else _PLAIN)


async def page_file(request: web.Request, name: str) -> web.FileResponse:
    """A page of ours, asked for again each time."""
    return await _file(request, name, _PLAIN)


async def _file(request: web.Request, name: str, cache: str) -> web.FileResponse:
    path = (STATIC / name).resolve()
    if not (path.is_relative_to(STATIC) and path.suffix in _SUFFIXES and path.is_file()):
        raise not_found("page")
    policy = page_policy(await services(request).bucket_origin.find())
    return web.FileResponse(path, headers={"Cache-Control": cache, "Content-Security-Policy": policy})

"""/healthz: the process answers. /readyz: its answers are up to date."""

import orjson
from aiohttp import web

from web.problems import unavailable
from web.services import services


def add_routes(app: web.Application) -> None:
    """The routes of this noun."""
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)


async def healthz(_request: web.Request) -> web.Response:
    """200 while the process can answer at all."""
    return _ok()


async def readyz(request: web.Request) -> web.Response:
    """200 when the read model holds what the log holds; 503 with the reason otherwise."""
    troubles = services(request).follower.troubles()
    if troubles:
        raise unavailable("not-ready", "; ".join(troubles))
    return _ok()


def _ok() -> web.Response:
    return web.Response(body=orjson.dumps({"status": "ok"}), content_type="application/json")

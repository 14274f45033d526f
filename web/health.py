"""/healthz: the process answers. /readyz: its answers are up to date."""

import msgspec
from aiohttp import web

from web.problems import unavailable
from web.routes import Routes
from web.services import services
from web.shapes import Health

routes = Routes("Operation")


@routes.get("/healthz", access="public", answers={200: Health})
async def healthz(_request: web.Request) -> web.Response:
    """200 while the process can answer at all."""
    return _ok()


@routes.get("/readyz", access="public", answers={200: Health}, problems=(503,))
async def readyz(request: web.Request) -> web.Response:
    """200 when the read model holds what the log holds; 503 with the reason otherwise."""
    troubles = services(request).follower.troubles()
    if troubles:
        raise unavailable("not-ready", "; ".join(troubles))
    return _ok()


def _ok() -> web.Response:
    return web.Response(body=msgspec.json.encode(Health()), content_type="application/json")

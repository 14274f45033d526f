"""/healthz and /readyz: liveness and readiness."""

from typing import Literal

import msgspec
from aiohttp import web

from web.http.problems import Problem, unavailable
from web.http.routing import Routes
from web.services import STOPPING, services
from web.views.models import Health

routes = Routes("Operation")


@routes.get("/healthz", access="public", responses={200: Health})
async def healthz(_request: web.Request) -> web.Response:
    """Liveness: 200 while the process responds."""
    return _ok()


class ReadyQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Query parameters of readiness."""

    #: "control": ignore the state of control. For load balancers: while control is down, submissions are kept on the
    #: log, and no replica need be taken out of service.
    exclude: Literal["control"] | None = None


@routes.get("/readyz", access="public", query=ReadyQuery, responses={200: Health}, problems=(400, 503))
async def readyz(request: web.Request) -> web.Response:
    """Readiness: 200 when the read model has caught up, the store is there and control is running, until it stops.

    503 with the reasons otherwise.
    """
    parts, excluded = services(request), request.query.get("exclude")
    if excluded not in (None, "control"):
        raise Problem(400, "invalid-exclude", 'exclude must be "control"')
    troubles = parts.follower.troubles() + parts.store_watch.troubles()
    if request.app[STOPPING].is_set():
        troubles.append("this replica is stopping")
    if not parts.clock.known:
        troubles.append("the log's time is not known yet")
    if excluded is None:
        troubles += parts.control.troubles()
    if troubles:
        raise unavailable("not-ready", "; ".join(troubles))
    return _ok()


def _ok() -> web.Response:
    return web.Response(body=msgspec.json.encode(Health()), content_type="application/json")

"""GET /v1/stats: how many there are."""

from aiohttp import web

from web import queries
from web.auth import asking
from web.reading import AfterQuery, answer, settled
from web.routes import Routes
from web.services import services
from web.shapes import Answer

routes = Routes("Statistics")


@routes.get("/v1/stats", query=AfterQuery, answers={200: Answer[dict[str, dict[str, int]]]}, problems=(400, 503))
async def show_stats(request: web.Request) -> web.Response:
    """Jobs by status and pipeline, assets by status, of what the caller may see."""
    await settled(request, "jobs")
    return answer(await services(request).model.read(queries.counts, asking(request).scope))

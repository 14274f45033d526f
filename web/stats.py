"""GET /v1/stats: how many there are."""

from aiohttp import web

from web import queries
from web.auth import reader
from web.reading import answer, settled
from web.services import services


def add_routes(app: web.Application) -> None:
    """The routes of this noun."""
    app.router.add_get("/v1/stats", show_stats)


async def show_stats(request: web.Request) -> web.Response:
    """Jobs by status and pipeline, assets by status, of what the caller may see."""
    await settled(request, "jobs")
    return answer(await services(request).model.read(queries.counts, reader(request).scope))

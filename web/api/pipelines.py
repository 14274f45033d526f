"""/v1/pipelines: the pipelines that a submission may name."""

from aiohttp import web

from web.api.common import data_response
from web.http.routing import Routes
from web.services import services
from web.views.models import Answer, PipelineView

routes = Routes("Jobs")


@routes.get("/v1/pipelines", responses={200: Answer[list[PipelineView]]})
async def show_pipelines(request: web.Request) -> web.Response:
    """List the pipelines that a submission may name, with their steps in the order in which they can start."""
    parts = services(request)
    default = parts.settings.default_pipeline
    return data_response(
        [
            PipelineView(name=name, default=name == default, steps=[step.name for step in steps])
            for name, steps in sorted(parts.pipelines.items())
        ]
    )

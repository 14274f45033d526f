"""/v1/executors: the executors of the last minute, by their reports."""

from aiohttp import web

from streams.release import release
from web.api.common import data_response
from web.auth.middleware import caller_of
from web.http.problems import unavailable
from web.http.routing import Routes
from web.services import services
from web.views.executors import executor_views
from web.views.models import Answer, ExecutorView

routes = Routes("Statistics")


@routes.get("/v1/executors", responses={200: Answer[list[ExecutorView]]}, problems=(503,))
async def show_executors(request: web.Request) -> web.Response:
    """List the executors that have reported within the last minute: what they can run, and what they run.

    Attempts are those of jobs that the caller may see; counts are of all.
    """
    parts, scope = services(request), caller_of(request).scope
    reports = await parts.executors.reports()
    if reports is None:
        raise unavailable("log-unreadable", "The executors are not known at the moment: try again.")
    now = parts.executors.now()
    views = executor_views(reports, now, release(), lambda job_id: parts.progress.may_see(job_id, scope))
    return data_response(views)

"""/v1/executors: the executors of the last minute, by their reports."""

import time
from collections import Counter

from aiohttp import web

from streams.kafka.envelope import iso_time
from streams.kafka.executor_reports import DatedReport, silent_before
from streams.release import release
from web.api.common import data_response
from web.http.problems import unavailable
from web.http.routing import Routes
from web.services import services
from web.views.models import Answer, ExecutorStatus, ExecutorView

routes = Routes("Statistics")


@routes.get("/v1/executors", access="admin", responses={200: Answer[list[ExecutorView]]}, problems=(503,))
async def show_executors(request: web.Request) -> web.Response:
    """List the executors that have reported within the last minute: what they can run, and what they run."""
    reports = await services(request).executors.reports()
    if reports is None:
        raise unavailable("log-unreadable", "The executors are not known at the moment: try again.")
    silent = silent_before(reports, time.time())
    views = [executor_view(dated, silent, release()) for dated in reports]
    return data_response(sorted(views, key=lambda view: view.id))


def executor_view(dated: DatedReport, silent_before_s: float, version: str) -> ExecutorView:
    """The executor of a report; `version`: of this process."""
    report, at = dated
    status: ExecutorStatus = "silent" if at <= silent_before_s else "draining" if report.draining else "active"
    return ExecutorView(
        id=report.executor_id,
        lane=report.lane,
        version=report.version,
        outdated=report.version != version,
        status=status,
        reported_at=iso_time(at),
        slots={step: offer.slots for step, offer in report.steps.items()},
        active=dict(Counter(attempt.step for attempt in report.attempts)),
        cpus=report.cpus,
    )

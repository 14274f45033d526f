"""GET /v1/jobs/{id}/events: the job's timeline, from the log."""

from typing import Any

from aiohttp import web
from msgspec import UNSET, UnsetType

from schemas.facts import JobFailed, StepFact, StepFailed, StepRetried, StepSkipped, StepStarted
from streams.kafka.envelope import iso_time
from web.api.common import AfterQuery, json_response, visible_job
from web.api.log_reads import read_log
from web.auth.middleware import caller_of
from web.http.routing import Routes
from web.services import services
from web.timelines.facts import Fact
from web.views.build import error_view
from web.views.models import EventView, Timeline

routes = Routes("Jobs")


@routes.get(
    "/v1/jobs/{job_id}/events",
    query=AfterQuery,
    responses={200: Timeline},
    problems=(400, 404, 429, 503),
)
async def show_events(request: web.Request) -> web.Response:
    """List a job's events in order: time, step and attempt, duration, error. `incomplete`: older ones are not kept."""
    job = await visible_job(request, caller_of(request), request.match_info["job_id"])
    events = services(request).events
    history = await read_log(request, lambda: events.of_job(job.asset_id, job.id, job.created_at))
    return json_response(Timeline(data=timeline(history.facts), incomplete=UNSET if history.complete else True))


def timeline(facts: list[Fact]) -> list[EventView]:
    """Render the facts, each with the seconds since its attempt started."""
    started_at: dict[tuple[Any, ...], float] = {}
    events: list[EventView] = []
    for fact in facts:
        if isinstance(fact.message, StepStarted):
            started_at[_attempt(fact.message)] = fact.at
        events.append(_event_view(fact, started_at))
    return events


def _attempt(message: StepFact) -> tuple[Any, ...]:
    return message.run, message.step, message.attempt


def _event_view(fact: Fact, started_at: dict[tuple[Any, ...], float]) -> EventView:
    message = fact.message
    step = message if isinstance(message, StepFact) else None
    return EventView(
        id=fact.id,
        type=fact.type,
        time=iso_time(fact.at),
        run=getattr(message, "run", 1),
        step=step.step if step else UNSET,
        attempt=step.attempt if step else UNSET,
        elapsed_s=_elapsed_s(fact.at, step, started_at) if step else UNSET,
        error=error_view(message.error) if isinstance(message, (StepFailed, StepRetried, JobFailed)) else UNSET,
        retry_at=iso_time(message.retry_at) if isinstance(message, StepRetried) else UNSET,
        reason=message.reason if isinstance(message, StepSkipped) else UNSET,
    )


def _elapsed_s(at: float, step: StepFact, started_at: dict[tuple[Any, ...], float]) -> float | UnsetType:
    since = started_at.get(_attempt(step))
    if since is None or isinstance(step, StepStarted):
        return UNSET
    return round(max(at - since, 0.0), 3)

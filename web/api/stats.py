"""/v1/stats and /v1/queues: counts, equal to those of the lists at the same moment; pause and resume queues."""

from collections.abc import Iterable
from typing import Annotated, Any, get_args

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from schemas.commands import LimitQueue, PauseQueue, ResumeQueue
from schemas.jobs import AssetStatus, JobStatus
from schemas.steps import step_kinds
from streams.kafka.envelope import iso_time
from tables.queues import QueueCommand
from web.api.common import AfterQuery, data_response, json_body, wait_for_cursor
from web.api.jobs.as_of import AsOfQuery, counts_at, requested_moment
from web.auth.middleware import caller_of
from web.http.cursors import WriteCursor
from web.http.problems import not_found
from web.http.routing import Routes
from web.live.step_history import Minute, percentile
from web.readmodel import queries
from web.readmodel.job_groups import STEP_STATUSES
from web.readmodel.queries import CountRow, Counts
from web.services import services
from web.views.models import Answer, QueueChange, QueueLimit, QueueView, Stats, StepHistoryView

routes = Routes("Statistics")

_JOB_STATUSES: tuple[str, ...] = get_args(JobStatus)
_ASSET_STATUSES: tuple[str, ...] = get_args(AssetStatus)
#: Longest wait for control, so that the queue shows the change when the response is sent.
_APPLIED_S = 5.0


class NewLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PATCH /v1/queues/{step}`."""

    #: Maximum number of active attempts over all executors; null: any number.
    max_active: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None


@routes.get("/v1/stats", query=AsOfQuery, responses={200: Answer[Stats]}, problems=(400, 410, 503))
async def show_stats(request: web.Request) -> web.Response:
    """Count jobs by status and pipeline, their steps, and assets by status, of what the caller may see.

    With `as_of`, at that moment; then only steps that had started are counted.
    """
    parts, scope, at = services(request), caller_of(request).scope, requested_moment(request)
    if at is not None:
        return data_response(replace(stats(await counts_at(request, scope, at), parts.pipelines), as_of=iso_time(at)))
    await wait_for_cursor(request, "jobs")
    return data_response(stats(await parts.model.read(queries.counts, scope), parts.pipelines))


@routes.get("/v1/stats/steps", access="admin", responses={200: Answer[list[StepHistoryView]]})
async def show_step_history(request: web.Request) -> web.Response:
    """Show how many attempts of each step completed and failed in each minute of the last hour, and their durations.

    Of the time since this replica has started; steps that did not end in it are left out.
    """
    history, now = services(request).progress.history, services(request).clock.best()
    return data_response([_step_history(step, history.of(step, now)) for step in history.steps()])


@routes.get("/v1/queues", query=AfterQuery, responses={200: Answer[list[QueueView]]}, problems=(400, 503))
async def show_queues(request: web.Request) -> web.Response:
    """List the queue of each step with its counts, of what the caller may see."""
    await wait_for_cursor(request, "jobs")
    parts = services(request)
    counts = steps_by_status(await parts.model.read(queries.counts, caller_of(request).scope))
    paused = await parts.model.read(queries.paused)
    limits, executors = await parts.model.read(queries.limits), await parts.executors.by_step() or {}
    slots, reason = parts.executors.slots(), parts.progress.queues.reason
    queues = [_queue(name, counts[name], paused.get(name), executors.get(name, UNSET)) for name in step_kinds()]
    return data_response(
        [
            replace(
                queue, max_active=limits.get(queue.name), slots=slots.get(queue.name, UNSET), reason=reason(queue.name)
            )
            for queue in queues
        ]
    )


@routes.post("/v1/queues/{step}/pause", access="admin", responses={202: Answer[QueueChange]}, problems=(404, 503))
async def pause_queue(request: web.Request) -> web.Response:
    """Pause a step's queue: 202. No executor takes jobs from it until it is resumed; running steps continue."""
    return await _change(request, PauseQueue)


@routes.post("/v1/queues/{step}/resume", access="admin", responses={202: Answer[QueueChange]}, problems=(404, 503))
async def resume_queue(request: web.Request) -> web.Response:
    """Resume a step's queue: 202."""
    return await _change(request, ResumeQueue)


@routes.on(
    "PATCH",
    "/v1/queues/{step}",
    access="admin",
    body=NewLimit,
    responses={202: Answer[QueueLimit]},
    problems=(400, 404, 413, 415, 422, 503),
)
async def limit_queue(request: web.Request) -> web.Response:
    """Limit the active attempts of a step over all executors: 202. Running attempts continue; null lifts the limit."""
    step, body = _step(request), await json_body(request, NewLimit)
    cursor = await _apply(
        request, LimitQueue(step=step, max_active=body.max_active, requested_by=caller_of(request).owner)
    )
    return data_response(QueueLimit(name=step, max_active=body.max_active), status=202, cursor=cursor)


async def _change(request: web.Request, command: type[PauseQueue | ResumeQueue]) -> web.Response:
    step = _step(request)
    cursor = await _apply(request, command(step=step, requested_by=caller_of(request).owner))
    return data_response(QueueChange(name=step, paused=command is PauseQueue), status=202, cursor=cursor)


def _step(request: web.Request) -> str:
    step = request.match_info["step"]
    if step not in step_kinds():
        raise not_found("queue")
    return step


async def _apply(request: web.Request, command: QueueCommand) -> WriteCursor:
    """Send the command, and wait until it shows."""
    parts = services(request)
    cursor = await parts.commands.send([command])
    await parts.position.until(lambda: parts.position.has_applied("jobs", cursor), _APPLIED_S)
    return cursor


def stats(counts: Counts, pipelines: Iterable[str]) -> Stats:
    """Render the counts; `pipelines` are listed also when no job has them."""
    jobs = [row for row in counts.rows if not row.step]
    by_pipeline = _by(jobs, "pipeline", pipelines, _JOB_STATUSES)
    return Stats(
        jobs={status: sum(row.jobs for row in jobs if row.status == status) for status in _JOB_STATUSES},
        pipelines={name: sum(by_status.values()) for name, by_status in by_pipeline.items()},
        pipeline_status=by_pipeline,
        steps=steps_by_status(counts),
        assets=dict.fromkeys(_ASSET_STATUSES, 0) | counts.assets,
    )


def _step_history(step: str, minutes: list[Minute]) -> StepHistoryView:
    all_s = [took_s for minute in minutes for took_s in minute.took_s]
    return StepHistoryView(
        name=step,
        completed=[minute.completed for minute in minutes],
        failed=[minute.failed for minute in minutes],
        p50_s=[percentile(minute.took_s, 0.5) for minute in minutes],
        p95_s=[percentile(minute.took_s, 0.95) for minute in minutes],
        hour_p50_s=percentile(all_s, 0.5),
        hour_p95_s=percentile(all_s, 0.95),
    )


def _queue(name: str, counts: dict[str, Any], paused_at: float | None, executors: int | UnsetType) -> QueueView:
    since = UNSET if paused_at is None else iso_time(paused_at)
    return QueueView(name=name, paused=paused_at is not None, paused_at=since, executors=executors, **counts)


def steps_by_status(counts: Counts) -> dict[str, dict[str, int]]:
    """Steps of jobs by name and status, zeros included."""
    return _by((row for row in counts.rows if row.step), "step", step_kinds(), STEP_STATUSES)


def _by(
    rows: Iterable[CountRow], column: str, names: Iterable[str], statuses: Iterable[str]
) -> dict[str, dict[str, int]]:
    """Jobs by the column's value and status, zeros included; at least of `names`."""
    table = {name: dict.fromkeys(statuses, 0) for name in names}
    for row in rows:
        table.setdefault(getattr(row, column), dict.fromkeys(statuses, 0))[row.status] += row.jobs
    return table

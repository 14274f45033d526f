"""GET /v1/stats and /v1/queues: how many there are, equal to what lists would count at the same moment."""

from collections import Counter
from collections.abc import Iterable

from aiohttp import web
from msgspec.structs import replace

from schemas.steps import step_kinds
from streams.envelope import iso_time
from web import queries
from web.as_of import AsOfQuery, asked_moment, counts_at
from web.auth import asking
from web.counts import STEP_STATUSES
from web.queries import CountRow, Counts
from web.reading import AfterQuery, answer, settled
from web.routes import Routes
from web.services import services
from web.shapes import Answer, QueueView, Stats

routes = Routes("Statistics")


@routes.get("/v1/stats", query=AsOfQuery, answers={200: Answer[Stats]}, problems=(400, 503))
async def show_stats(request: web.Request) -> web.Response:
    """Jobs by status and pipeline, their steps, and assets by status, of what the caller may see.

    With `as_of`, as it was at that moment; of steps only those are counted then that had begun.
    """
    parts, scope, at = services(request), asking(request).scope, asked_moment(request)
    if at is not None:
        return answer(replace(stats(await counts_at(parts, scope, at)), as_of=iso_time(at)))
    await settled(request, "jobs")
    return answer(stats(await parts.model.read(queries.counts, scope)))


@routes.get("/v1/queues", query=AfterQuery, answers={200: Answer[list[QueueView]]}, problems=(400, 503))
async def show_queues(request: web.Request) -> web.Response:
    """The queue of each step: what waits, runs and ended there, of what the caller may see."""
    await settled(request, "jobs")
    found = await services(request).model.read(queries.counts, asking(request).scope)
    by_step = _by((row for row in found.rows if row.step), "step")
    return answer([_queue(name, by_step.get(name, {})) for name in step_kinds()])


def stats(found: Counts) -> Stats:
    """The counts as they are shown."""
    jobs = [row for row in found.rows if not row.step]
    return Stats(
        jobs=_total(jobs, "status"),
        pipelines=_total(jobs, "pipeline"),
        pipeline_status=_by(jobs, "pipeline"),
        steps=_by((row for row in found.rows if row.step), "step"),
        assets=found.assets,
    )


def _queue(name: str, counts: dict[str, int]) -> QueueView:
    return QueueView(name=name, paused=False, **{status: counts.get(status, 0) for status in STEP_STATUSES})


def _total(rows: Iterable[CountRow], by: str) -> dict[str, int]:
    total: Counter[str] = Counter()
    for row in rows:
        total[getattr(row, by)] += row.jobs
    return dict(total)


def _by(rows: Iterable[CountRow], by: str) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(getattr(row, by), Counter())[row.status] += row.jobs
    return {name: dict(counted) for name, counted in found.items()}

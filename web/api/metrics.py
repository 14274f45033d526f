"""/metrics: the metrics of this process, for Prometheus."""

import time
from collections import Counter
from typing import get_args

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from schemas.jobs import JobStatus
from streams.supervisor import run_dir
from streams.supervisor.restarts import is_looping
from web.http.routing import Routes
from web.readmodel import queries
from web.services import Services, services

routes = Routes("Operation")


@routes.get("/metrics", access="public", responses={200: "text/plain"})
async def show_metrics(request: web.Request) -> web.Response:
    """Metrics of this process for Prometheus. Job counts are of the whole read model."""
    parts = services(request)
    await _gather(parts)
    return web.Response(body=generate_latest(parts.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _gather(parts: Services) -> None:
    metrics = parts.metrics
    metrics.live.set(len(parts.hub))
    metrics.ready.set(0 if parts.follower.troubles() else 1)
    metrics.deciding.set(0 if parts.control.troubles() else 1)
    if (written := await parts.control.dead_letters()) is not None:
        metrics.dead_letters.set(written)
    metrics.audit_dropped.set(parts.audit.dropped)
    metrics.clock_skew.set(parts.clock.skew_s)
    metrics.tokens.set(len(parts.tokens.rows))
    metrics.refused_records.set(parts.refused_records.count)
    for part, ends in run_dir.kept_ends(parts.settings).items():
        metrics.part_ends.labels(part).set(ends.ends)
        metrics.crash_loops.labels(part).set(is_looping(ends, time.time()))
    await _gather_executors(parts)
    await _gather_queues(parts)
    by_status: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for row in (await parts.model.read(queries.counts, None)).rows:
        by_status[row.status] += 0 if row.step else row.jobs
        if row.step and row.status == "failed":
            failed[row.step] += row.jobs
    metrics.failed_steps.clear()
    for step, count in failed.items():
        metrics.failed_steps.labels(step).set(count)
    for status in get_args(JobStatus):
        metrics.jobs.labels(status).set(by_status[status])


async def _gather_executors(parts: Services) -> None:
    metrics = parts.metrics.executors
    metrics.clear()
    for sandbox, count in Counter(dated.report.sandbox for dated in await parts.executors.reports() or ()).items():
        metrics.labels(sandbox or "none").set(count)


async def _gather_queues(parts: Services) -> None:
    metrics, queues = parts.metrics, parts.progress.queues
    metrics.queue_executors.clear()
    for step, count in (await parts.executors.by_step() or {}).items():
        metrics.queue_executors.labels(step).set(count)
    metrics.queue_waiting.clear()
    for step, waiting in queues.waiting().items():
        metrics.queue_waiting.labels(step, queues.reason(step)).set(waiting)

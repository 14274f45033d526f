"""Every metric of the web process: its name, kind, unit and meaning."""

import time

from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from web.http.problems import CODE
from web.http.routing import Handler, route_of

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        labels = ("method", "route")
        self.requests = Counter(
            "kinolog_http_requests", "Responses, by route and status.", (*labels, "status"), registry=registry
        )
        self.seconds = Histogram(
            "kinolog_http_request_seconds",
            "Time to the end of a response, without live connections.",
            labels,
            registry=registry,
            buckets=_BUCKETS_S,
        )
        self.problems = Counter(
            "kinolog_http_problems", "Error responses, by problem code.", ("code",), registry=registry
        )
        self.live = Gauge("kinolog_live_clients", "Live connections now.", registry=registry)
        self.jobs = Gauge("kinolog_jobs", "Jobs in the read model, by status.", ("status",), registry=registry)
        self.failed_steps = Gauge(
            "kinolog_failed_steps",
            "Steps of jobs in the read model that failed for good, optional ones of completed jobs included.",
            ("step",),
            registry=registry,
        )
        self.executors = Gauge(
            "kinolog_executors",
            "Executors of the last minute, by the sandbox of their tools: bubblewrap, namespaces, bounds (no sandbox), "
            "none (they run no tools).",
            ("sandbox",),
            registry=registry,
        )
        self.queue_executors = Gauge(
            "kinolog_queue_executors",
            "Executors that serve the queue of a step; absent while unknown.",
            ("step",),
            registry=registry,
        )
        self.queue_waiting = Gauge(
            "kinolog_queue_waiting",
            "Attempts of a step that wait for an executor, and why none can start, if so.",
            ("step", "reason"),
            registry=registry,
        )
        self.ready = Gauge("kinolog_ready", "1 when the read model has caught up with the log.", registry=registry)
        self.deciding = Gauge("kinolog_control_deciding", "1 while control processes the log.", registry=registry)
        self.dead_letters = Gauge(
            "kinolog_dead_letters", "Dead letters written so far: records that cannot be processed.", registry=registry
        )
        self.audit_dropped = Gauge(
            "kinolog_audit_dropped", "Audit entries dropped because too many were waiting.", registry=registry
        )
        self.part_ends = Gauge(
            "kinolog_part_ends", "Unexpected exits of a part of `kinolog up`.", ("part",), registry=registry
        )
        self.crash_loops = Gauge(
            "kinolog_part_crash_loop",
            "1 while a part of `kinolog up` is in a crash loop.",
            ("part",),
            registry=registry,
        )
        self.clock_skew = Gauge(
            "kinolog_clock_skew_seconds",
            "Seconds that this machine's clock is ahead of the broker's.",
            registry=registry,
        )
        self.refused_records = Gauge(
            "kinolog_refused_records",
            "Records of tokens and keys on the log that nobody with the signing secret wrote, since the start.",
            registry=registry,
        )
        self.tokens = Gauge("kinolog_tokens", "API tokens, revoked ones included.", registry=registry)


def measuring(metrics: Metrics) -> Middleware:
    """Middleware that counts and times responses by the route's pattern, not by the URL."""

    @web.middleware
    async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        response = await handler(request)
        route = route_of(request)
        path = route.path if route else "other"
        method = request.method if route else "other"
        metrics.requests.labels(method, path, str(response.status)).inc()
        if route is None or not route.ticket:
            metrics.seconds.labels(method, path).observe(time.perf_counter() - began)
        if CODE in response:
            metrics.problems.labels(response[CODE]).inc()
        return response

    return measured

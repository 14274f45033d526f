"""The route list: the routes of every module of handlers, in the order of the OpenAPI document."""

from web.api import (
    assets,
    documents,
    executors,
    health,
    live,
    log_records,
    media,
    metrics,
    pipelines,
    search,
    signing_keys,
    stats,
    store_gc,
    system,
    tokens,
    ui,
)
from web.api.cache import downloads, maintenance, resolve
from web.api.cache import routes as cache
from web.api.jobs import bulk, counts, events, export
from web.api.jobs import routes as jobs
from web.api.uploads import direct, tus
from web.api.uploads import routes as uploads
from web.compat import job_status, media_admin, studio, video_processing
from web.http.routing import Routes

ROUTES: tuple[Routes, ...] = (
    uploads.routes,
    direct.routes,
    tus.routes,
    assets.routes,
    downloads.routes,
    cache.routes,
    resolve.routes,
    maintenance.routes,
    counts.routes,
    jobs.routes,
    events.routes,
    export.routes,
    bulk.routes,
    pipelines.routes,
    stats.routes,
    system.routes,
    executors.routes,
    search.routes,
    live.routes,
    media.routes,
    store_gc.routes,
    tokens.routes,
    signing_keys.routes,
    log_records.routes,
    health.routes,
    metrics.routes,
    documents.routes,
    media_admin.routes,
    studio.routes,
    video_processing.routes,
    job_status.routes,
    ui.routes,
)

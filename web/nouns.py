"""Every noun of the interface: its module's routes, in the order of the document."""

from web import (
    access,
    assets,
    clearing,
    documents,
    events,
    exporting,
    health,
    jobs,
    live,
    media,
    pages,
    scraping,
    search,
    stats,
    uploads,
)
from web.compat import job_status, media_admin, studio, video_processing
from web.routes import Routes

NOUNS: tuple[Routes, ...] = (
    uploads.routes,
    assets.routes,
    jobs.routes,
    events.routes,
    exporting.routes,
    clearing.routes,
    stats.routes,
    search.routes,
    live.routes,
    media.routes,
    access.routes,
    health.routes,
    scraping.routes,
    documents.routes,
    media_admin.routes,
    studio.routes,
    video_processing.routes,
    job_status.routes,
    pages.routes,
)

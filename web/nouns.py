"""Every noun of the interface: its module's routes, in the order of the document."""

from web import (
    access,
    assets,
    cache_assets,
    clearing,
    documents,
    events,
    exporting,
    garbage,
    health,
    jobs,
    live,
    media,
    pages,
    presign,
    scraping,
    stats,
    tus,
    uploads,
)
from web.routes import Routes

NOUNS: tuple[Routes, ...] = (
    uploads.routes,
    presign.routes,
    tus.routes,
    assets.routes,
    cache_assets.routes,
    jobs.routes,
    events.routes,
    exporting.routes,
    clearing.routes,
    stats.routes,
    live.routes,
    media.routes,
    garbage.routes,
    access.routes,
    health.routes,
    scraping.routes,
    documents.routes,
    pages.routes,
)

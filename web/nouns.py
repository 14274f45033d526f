"""Every noun of the interface: its module's routes, in the order of the document."""

from web import assets, health, jobs, live, media, pages, stats, uploads
from web.routes import Routes

NOUNS: tuple[Routes, ...] = (
    uploads.routes,
    assets.routes,
    jobs.routes,
    stats.routes,
    live.routes,
    media.routes,
    health.routes,
    pages.routes,
)

"""Keeps cached media below its size: the longest unused goes first, through the log like every deletion."""

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from web.cache_assets import delete_all
from web.problems import Problem
from web.services import Services

log = logging.getLogger("kinolog.web")

_EVERY_S = 60.0


class Kept(NamedTuple):
    """One cached file."""

    asset_id: str
    size_bytes: int
    #: Seconds since the epoch.
    updated_at: float


async def evict_again_and_again(parts: Services) -> None:
    """Delete what is too much, for as long as there is a bound."""
    most = parts.settings.cache.max_bytes
    await parts.position.caught_up.wait()
    while most:
        try:
            excess = too_much(await parts.model.read(_all_kept), parts.cache.asked_at, most)
            if excess:
                await delete_all(parts, excess, None)
                log.info("cached media made room", extra={"count": len(excess)})
        except Problem as error:
            log.warning("cached media cannot make room now", extra={"error": error.detail})
        await asyncio.sleep(_EVERY_S)


def too_much(kept: list[Kept], asked_at: Mapping[str, float], max_bytes: int) -> list[str]:
    """Ids of what must go, the longest unused first."""
    total, excess = sum(one.size_bytes for one in kept), list[str]()
    for one in sorted(kept, key=lambda one: max(one.updated_at, asked_at.get(one.asset_id, 0.0))):
        if total <= max_bytes:
            break
        total -= one.size_bytes
        excess.append(one.asset_id)
    return excess


def _all_kept(db: sqlite3.Connection) -> list[Kept]:
    size = "ifnull(json_extract(CAST(row AS TEXT), '$.outputs.download.size_bytes'), 0)"
    query = f"SELECT id, {size}, updated_at FROM assets CROSS JOIN asset_rows USING (n) WHERE status = 'CACHED'"  # noqa: S608
    return [Kept._make(row) for row in db.execute(query)]

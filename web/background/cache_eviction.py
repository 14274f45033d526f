"""Keeps cached media below its size: the longest unused goes first, through the log like every deletion."""

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from web.api.cache.maintenance import delete_all
from web.http.problems import Problem
from web.services import Services

log = logging.getLogger("kinolog.web")


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
            if parts.cache_sharing is not None:
                await parts.cache_sharing.learn_uses()
            kept = await parts.model.read(_all_kept)
            parts.cache.keep_only({one.asset_id for one in kept})
            excess = too_much(kept, parts.cache.used_at, most)
            if excess:
                await delete_all(parts, excess, None)
                log.info("cached media made room", extra={"count": len(excess)})
        except Problem as error:
            log.warning("cached media cannot make room now", extra={"error": error.detail})
        await asyncio.sleep(parts.settings.cache.every_s)


def too_much(kept: list[Kept], used_at: Mapping[str, float], max_bytes: int) -> list[str]:
    """Ids of what must go, the longest unused first."""
    total, excess = sum(one.size_bytes for one in kept), list[str]()
    for one in sorted(kept, key=lambda one: max(one.updated_at, used_at.get(one.asset_id, 0.0))):
        if total <= max_bytes:
            break
        total -= one.size_bytes
        excess.append(one.asset_id)
    return excess


def _all_kept(db: sqlite3.Connection) -> list[Kept]:
    size = "ifnull(json_extract(CAST(row AS TEXT), '$.outputs.download.size_bytes'), 0)"
    query = f"SELECT id, {size}, updated_at FROM assets CROSS JOIN asset_rows USING (n) WHERE status = 'CACHED'"  # noqa: S608
    return [Kept._make(row) for row in db.execute(query)]

"""Direct uploads of deleted assets, and those that were never submitted, do not stay in the store."""

import os
import time
from collections.abc import AsyncIterator

from processors.storage.local_store import LocalStore
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import control, log, make, site
from tests.integration.web.served import Site
from web.background.store_cleanup import StoreCleanup

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module

DAY_S = 86_400


async def _bytes() -> AsyncIterator[bytes]:
    yield b"media"


async def _lay(site: Site, key: str, age_s: float) -> None:
    store = site.parts.store
    assert isinstance(store, LocalStore)
    await store.put(key, _bytes(), 100)
    then = time.time() - age_s
    os.utime(store.root / key, (then, then))


async def _keys(site: Site, *folders: str) -> list[str]:
    found: list[str] = []
    for folder in folders:
        found += [stored.key async for stored in site.parts.store.walk(folder)]
    return sorted(found)


async def test_they_are_removed_within_two_days_unless_something_uses_them(site: Site, control: ControlStandIn) -> None:
    kept = {"direct/owner_1/used.mp4": 9 * DAY_S, "direct/owner_1/new.mp4": DAY_S, "media/clip.mp4": 9 * DAY_S}
    body = {"input": {"object": "direct/owner_1/used.mp4"}, "pipeline": "noop"}
    _, answer = await site.ask("POST", "/v1/assets", json=body)
    await eventually(lambda: answer["data"]["job_id"] in control.jobs, 60)
    await site.ask("GET", f"/v1/assets/{answer['data']['asset_id']}?after={answer['cursor']}")
    # After the submission: the replica may still be at the clean-up of its start.
    for key, age_s in {**kept, "direct/owner_1/orphan.mp4": 9 * DAY_S}.items():
        await _lay(site, key, age_s)
    await StoreCleanup(site.parts).clean_up()
    assert await _keys(site, "direct", "media") == sorted(kept)
    job = control.jobs[answer["data"]["job_id"]]
    await control.change(job.id, status="failed", finished_at=time.time())
    await eventually(lambda: control.jobs[job.id].status == "failed", 60)

    async def is_deleted() -> bool:
        status, _ = await site.ask("DELETE", f"/v1/jobs/{job.id}")
        return status in (202, 404)

    await eventually(is_deleted, 60)
    await StoreCleanup(site.parts).clean_up()
    assert await _keys(site, "direct") == ["direct/owner_1/new.mp4"]

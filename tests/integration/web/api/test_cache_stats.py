"""Statistics of the cache: of what the caller owns; an admin sees all, or one owner's."""

import json
from typing import Any

from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make
from tests.integration.web.served import ADMIN, Site, serve

__all__ = ["control", "log", "make"]  # fixtures are found by their name in this module

TOKENS = [{"token": f"{owner}-edits", "owner": owner, "role": "editor"} for owner in ("anna", "bert")]


async def _stats(site: Site, token: str, query: str = "") -> dict[str, Any]:
    status, body = await site.ask("GET", f"/v1/cache-assets/stats{query}", token)
    assert status == 200, body
    found: dict[str, Any] = body["data"]
    return found


async def test_an_owner_sees_the_statistics_of_his_own_lookups_only(make: Make, control: ControlStandIn) -> None:
    async with serve(make(KINOLOG_AUTH__TOKENS=json.dumps(TOKENS))) as site:
        for name in ("a", "b"):
            url = {"url": f"http://media.example/{name}.mp4"}
            assert (await site.ask("POST", "/v1/cache-assets", "anna-edits", json=url))[0] == 202

        async def shown() -> bool:
            counted = await _stats(site, "anna-edits")
            return (counted["jobs"]["waiting"], counted["assets"]["PENDING"]) == (2, 2)

        await eventually(shown, 30)
        none = await _stats(site, "bert-edits")
        assert (none["hits"], none["misses"], none["hit_ratio"], none["bytes"]) == (0, 0, None, 0)
        assert await _stats(site, "bert-edits", "?owner=anna") == none
        own = await _stats(site, "anna-edits")
        assert (own["misses"], own["hit_ratio"]) == (2, 0.0)
        assert await _stats(site, ADMIN, "?owner=anna") == own
        assert await _stats(site, ADMIN, "?owner=bert") == none
        assert (await _stats(site, ADMIN))["misses"] == 2

"""Keys of media URLs over a real log, with two replicas: rotated and revoked while everything runs."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from streams.audit import read_records
from streams.cli.main import cli
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make
from tests.integration.web.served import ADMIN, Site, serve

__all__ = ["control", "log", "make"]  # fixtures are found by their name in this module

SECRET = "one secret of more than thirty-two bytes"
FILE = "noop/1-a/file.txt"
TOKENS = json.dumps([{"token": "anna-edits", "owner": "anna", "role": "editor"}])


@pytest.fixture
def shared(tmp_path: Path) -> dict[str, str]:
    """Settings of all replicas."""
    store = (tmp_path / "shared-store").as_uri()
    return {"KINOLOG_AUTH__SIGNING_SECRET": SECRET, "KINOLOG_AUTH__TOKENS": TOKENS, "KINOLOG_STORE__URL": store}


@pytest.fixture
async def pair(make: Make, control: ControlStandIn, shared: dict[str, str]) -> AsyncIterator[tuple[Site, Site]]:
    """Two replicas over one log, one store and one secret."""
    async with AsyncExitStack() as stack:
        sites = [
            await stack.enter_async_context(serve(make(KINOLOG_WEB__REPLICA=f"keys-{name}", **shared))) for name in "ab"
        ]
        for found in sites:
            await eventually(found.parts.access.caught_up.is_set, 60)
        yield sites[0], sites[1]


async def asset(site: Site, control: ControlStandIn) -> str:
    body = {"input": {"object": "none"}, "pipeline": "noop"}
    _, answer = await site.ask("POST", "/v1/assets", json=body)
    await eventually(lambda: answer["data"]["job_id"] in control.jobs, 60)
    asset_id = str(answer["data"]["asset_id"])
    await site.parts.store.put(f"assets/{asset_id}/{FILE}", chunks(), 1000)
    return asset_id


async def chunks() -> AsyncIterator[bytes]:
    yield b"media"


async def signed(site: Site, asset_id: str) -> str:
    """Path of the file, signed by this replica."""
    status, answer = await site.ask("POST", f"/v1/assets/{asset_id}/playback", json={})
    assert status == 200, answer
    return f"{answer['data']['base_url'].partition('/media/')[2]}{FILE}"


async def status_of(site: Site, url: str) -> int:
    return (await site.ask("GET", f"/media/{url}", None))[0]


async def kinolog(site: Site, *arguments: str) -> str:
    """Run a command with an admin's token; its output."""
    reach = ("--url", str(site.server.make_url("")), "--token", ADMIN)
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["keys", *arguments, *reach])
    assert result.exit_code == 0, result.output
    return result.stdout


async def shown(site: Site) -> dict[str, Any]:
    """Status by id of key, the newest first."""
    return {key["id"]: key["status"] for key in json.loads(await kinolog(site, "list", "--json"))}


async def test_after_a_rotation_old_and_new_urls_play_at_every_replica(
    pair: tuple[Site, Site], control: ControlStandIn
) -> None:
    one, two = pair
    asset_id = await asset(one, control)
    before, known = await signed(one, asset_id), await shown(one)
    printed = await kinolog(one, "rotate")
    made = next(iter(await shown(one)))
    assert printed.startswith(made) and made not in known and (await shown(one))[made] == "signing"
    assert list((await shown(one)).values()).count("signing") == 1
    await eventually(lambda: made in two.parts.access.state.keys, 60)
    for url in (before, await signed(one, asset_id), await signed(two, asset_id)):
        assert [await status_of(site, url) for site in pair] == [200, 200]


async def test_urls_of_a_revoked_key_are_refused_at_every_replica_and_new_ones_play(
    pair: tuple[Site, Site], control: ControlStandIn, make: Make, shared: dict[str, str]
) -> None:
    one, two = pair
    asset_id = await asset(one, control)
    signing = next(an_id for an_id, status in (await shown(one)).items() if status == "signing")
    leaked = await signed(one, asset_id)
    assert (await kinolog(two, "revoke", signing)).startswith(f"Revoked {signing}.")
    assert await status_of(two, leaked) == 403
    await eventually(lambda: one.parts.access.state.keys[signing].revoked_at is not None, 60)
    assert await status_of(one, leaked) == 403
    fresh = await signed(two, asset_id)
    assert [await status_of(site, fresh) for site in pair] == [200, 200]
    assert (await shown(one))[signing] == "revoked"
    await kinolog(two, "revoke", signing)  # a repeat is harmless
    async with serve(make(KINOLOG_WEB__REPLICA="keys-c", **shared)) as later:
        await eventually(later.parts.access.caught_up.is_set, 60)
        assert [await status_of(later, url) for url in (leaked, fresh)] == [403, 200]


async def test_the_log_has_no_key_and_the_audit_has_who_changed_one(pair: tuple[Site, Site]) -> None:
    one, _ = pair
    assert (await one.ask("POST", "/v1/keys", "anna-edits"))[0] == 403
    _, made = await one.ask("POST", "/v1/keys")
    key_id = made["data"]["id"]
    assert (await one.ask("DELETE", f"/v1/keys/{key_id}"))[0] == 200
    assert (await one.ask("DELETE", "/v1/keys/key_unknown"))[0] == 404
    keys = one.parts.signing_keys.current(0.0)
    assert not any(key.hex() in repr(one.parts.access.state) for key in keys)

    async def is_recorded() -> bool:
        entries = [json.loads(record.value) async for record in read_records(one.parts.settings)]
        done = {(entry["action"], entry.get("result", "done")) for entry in entries}
        return {
            ("POST /v1/keys", "done"),
            ("DELETE /v1/keys/{key_id}", "done"),
            ("POST /v1/keys", "refused"),
        } <= done

    await eventually(is_recorded, 60, 0.5)

"""Tokens, tickets and the audit over a real log, with two replicas."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import jwt
import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from streams.audit import read_records, verify, verify_log
from streams.client import Client, NotFound, Unauthorized
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make, site
from tests.integration.web.served import ADMIN, Site, serve

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module

SECRET = "shared-secret-of-more-than-32-bytes"
JWT = {"KINOLOG_AUTH__JWT__SECRET": SECRET, "KINOLOG_AUTH__JWT__ISSUER": "id", "KINOLOG_AUTH__JWT__AUDIENCE": "kinolog"}


@pytest.fixture
async def pair(make: Make, control: ControlStandIn) -> AsyncIterator[tuple[Site, Site]]:
    """Two replicas over one log and one secret."""
    async with AsyncExitStack() as stack:
        sites = [
            await stack.enter_async_context(
                serve(make(KINOLOG_WEB__REPLICA=name, KINOLOG_AUTH__SIGNING_SECRET="one" * 11, **JWT))
            )
            for name in ("web-a", "web-b")
        ]
        for found in sites:
            await eventually(found.parts.tokens.caught_up.is_set, 60)
        yield sites[0], sites[1]


async def made(site: Site, **wanted: Any) -> dict[str, Any]:
    status, body = await site.ask("POST", "/v1/tokens", json=wanted)
    assert status == 201, body
    return dict(body["data"])


async def status_of(site: Site, token: str, method: str = "GET", path: str = "/v1/jobs") -> int:
    return (await site.ask(method, path, token))[0]


async def test_a_token_made_on_one_replica_works_on_the_other_until_it_is_revoked_there(
    pair: tuple[Site, Site],
) -> None:
    one, two = pair
    token = await made(one, role="editor", owner="carl", label="uploader")
    assert await status_of(one, token["token"]) == 200
    await eventually(lambda: token["id"] in two.parts.tokens.rows, 5)
    assert await status_of(two, token["token"]) == 200
    status, body = await two.ask("DELETE", f"/v1/tokens/{token['id']}")
    assert (status, body["data"]["good"]) == (200, False)
    assert await status_of(two, token["token"]) == 401
    await eventually(lambda: one.parts.tokens.rows[token["id"]].revoked_at is not None, 5)
    assert await status_of(one, token["token"]) == 401


async def test_a_revoked_tokens_live_connection_is_closed(pair: tuple[Site, Site]) -> None:
    one, two = pair
    token = await made(one, role="viewer", owner="carl")
    await eventually(lambda: token["id"] in two.parts.tokens.rows, 5)
    headers = {"Authorization": f"Bearer {token['token']}"}
    url = two.server.make_url("/v1/live?subscribe=all")
    async with two.session.ws_connect(url, headers=headers) as live:
        assert json.loads(await live.receive_str())["type"] == "snapshot"
        await one.ask("DELETE", f"/v1/tokens/{token['id']}")
        async with asyncio.timeout(10):
            assert (await live.receive()).type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED)
    assert live.close_code == 4001


async def test_tokens_survive_a_replica_that_comes_from_nothing_and_are_stored_hashed(
    make: Make, pair: tuple[Site, Site]
) -> None:
    token = await made(pair[0], role="viewer", owner="carl")
    assert token["token"].partition(".")[2] not in repr(pair[0].parts.tokens.rows)
    async with serve(make(KINOLOG_WEB__REPLICA="web-c", KINOLOG_AUTH__SIGNING_SECRET="one" * 11)) as third:
        await eventually(third.parts.tokens.caught_up.is_set, 30)
        assert await status_of(third, token["token"]) == 200
        listed = (await third.ask("GET", "/v1/tokens"))[1]["data"]
        assert token["id"] in [row["id"] for row in listed]
        assert all("token" not in row and "digest" not in row for row in listed)


async def test_a_token_ends_by_itself(pair: tuple[Site, Site]) -> None:
    token = await made(pair[0], role="viewer", owner="carl", ttl_s=1.5)
    assert await status_of(pair[0], token["token"]) == 200

    async def has_ended() -> bool:
        return await status_of(pair[0], token["token"]) == 401

    ended: bool = await eventually(has_ended, 10, 0.2)
    assert ended


async def test_only_an_admin_makes_tokens_and_an_owner_is_needed(pair: tuple[Site, Site]) -> None:
    for token in ("anna-edits", "anna-views"):
        assert (await pair[0].ask("POST", "/v1/tokens", token, json={"role": "admin"}))[0] == 403
        assert await status_of(pair[0], token, path="/v1/tokens") == 403
    assert (await pair[0].ask("POST", "/v1/tokens", json={"role": "viewer"}))[0] == 422
    assert (await pair[0].ask("DELETE", "/v1/tokens/tok_unknown"))[0] == 404


async def test_a_json_web_token_has_its_owners_rights_and_a_bad_one_none(pair: tuple[Site, Site]) -> None:
    claims = {"sub": "dora", "role": "viewer", "iss": "id", "aud": "kinolog", "exp": int(time.time()) + 60}
    good = jwt.encode(claims, SECRET, "HS256")
    assert await status_of(pair[0], good) == 200
    assert (await pair[0].ask("POST", "/v1/assets", good, json={"input": {"object": "a/b"}}))[0] == 403
    for changed in ({"exp": 1}, {"aud": "other"}, {"iss": "other"}):
        assert await status_of(pair[0], jwt.encode(claims | changed, SECRET, "HS256")) == 401
    assert await status_of(pair[0], jwt.encode(claims, "", "none")) == 401


async def test_a_ticket_opens_live_connections_until_it_ends_and_nothing_else(pair: tuple[Site, Site]) -> None:
    one, two = pair
    status, body = await one.ask("POST", "/v1/live/tickets", "anna-views")
    assert status == 201
    ticket = body["data"]["ticket"]
    assert (await two.ask("GET", f"/v1/jobs?ticket={ticket}", None))[0] == 401
    for replica in (two, two, one):
        async with replica.session.ws_connect(
            replica.server.make_url(f"/v1/live?subscribe=all&ticket={ticket}")
        ) as live:
            assert json.loads(await live.receive_str())["type"] == "snapshot"
    _, body = await one.ask("POST", "/v1/live/tickets", "anna-views", json={"ttl_s": 1})
    ticket = body["data"]["ticket"]

    async def has_ended() -> bool:
        return (await two.ask("GET", f"/v1/live?subscribe=all&ticket={ticket}", None))[0] == 401

    await eventually(has_ended)
    with pytest.raises(WSServerHandshakeError) as refused:
        await two.session.ws_connect(two.server.make_url(f"/v1/live?subscribe=all&ticket={ticket}"))
    assert refused.value.status == 401


async def test_who_guesses_must_wait_and_who_has_a_token_need_not(make: Make, control: ControlStandIn) -> None:
    async with serve(make(KINOLOG_AUTH__FAILURES="5")) as site:
        assert await status_of(site, ADMIN) == 200
        tries = [await status_of(site, f"guess-{number}") for number in range(8)]
        assert tries[:5] == [401] * 5
        assert set(tries[5:]) == {429}
        assert await status_of(site, "anna-edits") == 200
        assert await status_of(site, ADMIN) == 200


async def test_a_token_with_a_rate_is_held_to_it(pair: tuple[Site, Site]) -> None:
    token = await made(pair[0], role="viewer", owner="carl", requests_per_s=2)
    tries = [await status_of(pair[0], token["token"], path="/v1/stats") for _ in range(12)]
    assert tries[:4] == [200] * 4
    assert 429 in tries


async def test_writes_and_refusals_are_audited_by_both_replicas_in_chains_that_verify(
    make: Make, pair: tuple[Site, Site]
) -> None:
    one, two = pair
    item = {"input": {"object": "media/clip.mp4"}, "pipeline": "noop"}
    headers = {"X-Request-Id": "audited-1"}
    assert (await one.ask("POST", "/v1/assets", "anna-edits", json=item, headers=headers))[0] == 202
    assert (await two.ask("POST", "/v1/assets", "anna-views", json=item, headers={"X-Request-Id": "audited-2"}))[
        0
    ] == 403
    token = await made(two, role="viewer", owner="carl")

    async def entries() -> dict[str, dict[str, Any]]:
        contents = [_content(record) async for record in read_records(make())]
        return {found["request_id"]: found for found in contents if "request_id" in found}

    async def both() -> bool:
        return {"audited-1", "audited-2"} <= (await entries()).keys()

    found_both: bool = await eventually(both, 10, 0.3)
    assert found_both
    found, records = await entries(), [record async for record in read_records(make())]
    done, refused = found["audited-1"], found["audited-2"]
    assert (done["owner"], done["role"], done["action"], done["status"]) == ("anna", "editor", "POST /v1/assets", 202)
    assert (refused["result"], refused["code"], refused["role"]) == ("refused", "forbidden", "viewer")
    assert not any(token["token"].encode() in record.value or b"anna-edits" in record.value for record in records)
    assert (await verify_log(make())).findings == []
    place = next(n for n, record in enumerate(records) if b'"audited-1"' in record.value)
    forged = records[place]._replace(value=records[place].value.replace(b'"anna"', b'"bert"'))
    assert verify([*records[:place], forged, *records[place + 1 :]]).findings


def _content(record: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(record.value)
    return found


async def test_of_many_at_once_with_one_key_on_two_replicas_one_body_wins(
    pair: tuple[Site, Site], control: ControlStandIn
) -> None:
    for number in range(5):
        headers = {"Idempotency-Key": f"race-{number}-{time.time_ns()}"}
        bodies = [{"input": {"object": f"media/{name}.mp4"}, "pipeline": "noop"} for name in ("one", "two")]
        asks = [
            site.ask("POST", "/v1/assets", "anna-edits", json=body, headers=headers)
            for site in pair
            for body in (*bodies, *bodies)
        ]
        answers = await asyncio.gather(*asks)
        won = {answer["data"]["job_id"] for status, answer in answers if status == 202}
        lost = {answer["code"] for status, answer in answers if status == 409}
        assert sorted(status for status, _ in answers) == [202] * 4 + [409] * 4
        assert (len(won), lost) == (1, {"idempotency-key-reused"})
        winner = control.jobs[won.pop()].input.object
        repeat = bodies[0] if winner == "media/one.mp4" else bodies[1]
        assert (await pair[1].ask("POST", "/v1/assets", "anna-edits", json=repeat, headers=headers))[0] == 202


async def test_the_python_client_makes_lists_and_revokes_tokens(pair: tuple[Site, Site]) -> None:
    url = str(pair[0].server.make_url("/"))
    async with Client(url, ADMIN) as admin:
        made = await admin.create_token(role="viewer", owner="erik", label="dashboard")
        async with Client(url, made["token"]) as erik:
            assert (await erik.jobs())["data"] == []
            assert (await admin.revoke_token(made["id"]))["good"] is False
            with pytest.raises(Unauthorized):
                await erik.jobs()
        assert made["id"] in [token["id"] for token in await admin.tokens()]
        with pytest.raises(NotFound):
            await admin.revoke_token("tok_none")

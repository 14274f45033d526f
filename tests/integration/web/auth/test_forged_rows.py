"""Whoever can write to Kafka without the signing secret grants, revokes and restores nothing, over two replicas."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from schemas.access import SigningKeyRow, TokenRow
from streams.audit import read_records
from streams.kafka.admin import apply_topics
from streams.kafka.reader import open_reader, read_to_end
from streams.settings import Settings
from tests.conftest import eventually
from tests.integration.web.logs import Make, log, make
from tests.integration.web.served import Site, serve

__all__ = ["log", "make"]  # fixtures are found by their name in this module

SECRET, NEXT_SECRET = "s" * 40, "n" * 40
FORGED = "tok_forged.known"


class Stranger:
    """Somebody who can read and write the topic of tokens, and has no secret."""

    def __init__(self, settings: Settings, producer: Any) -> None:
        self._settings, self._producer = settings, producer
        self._topic = f"{settings.topic_prefix}tokens"

    async def write(self, key: str, value: bytes | None, headers: Any = ()) -> None:
        await self._producer.send_and_wait(self._topic, value, key=key.encode(), partition=0, headers=list(headers))

    async def grant(self) -> None:
        """An admin's token."""
        digest = hashlib.sha256(b"known").hexdigest()
        row = TokenRow(id="tok_forged", digest=digest, role="admin", created_at=1.0)
        await self.write("tok_forged", msgspec.json.encode(row))

    async def records(self) -> list[Any]:
        part = TopicPartition(self._topic, 0)
        async with open_reader(self._settings.cluster, [part], reset="earliest") as reader:
            return [record async for record in read_to_end(reader, [part])]

    async def repeat(self, key: str) -> None:
        """The first record of a row, with its signature, again."""
        first = next(record for record in await self.records() if record.key == key.encode())
        await self.write(key, first.value, first.headers)


@pytest.fixture
async def own(make: Make, request: pytest.FixtureRequest) -> dict[str, str]:
    """Settings with topics of the test's own, and a secret."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:8]
    environ = {"KINOLOG_TOPIC_PREFIX": f"{name}.", "KINOLOG_AUTH__SIGNING_SECRET": SECRET}
    await apply_topics(make(**environ), 60)
    return environ


@pytest.fixture
async def stranger(make: Make, own: dict[str, str]) -> AsyncIterator[Stranger]:
    settings = make(**own)
    async with AIOKafkaProducer(**settings.cluster.client_options()) as producer:
        yield Stranger(settings, producer)


class Replicas:
    """Replicas over one log, by name."""

    def __init__(self, make: Make, stack: AsyncExitStack) -> None:
        self._make, self._stack = make, stack

    async def start(self, name: str, **environ: str) -> Site:
        """A replica that has read the log, and signed what had to be."""
        settings = self._make(KINOLOG_WEB__REPLICA=name, **environ)
        found = await self._stack.enter_async_context(serve(settings, ready=False))
        await eventually(found.parts.position.caught_up.is_set, 60)
        await eventually(found.parts.access.caught_up.is_set, 60)
        await eventually(lambda: found.parts.access.state.are_signed, 60)
        await eventually(lambda: not found.parts.access.state.outdated(), 60)
        return found


@pytest.fixture
async def replicas(make: Make) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        yield Replicas(make, stack)


async def new_token(site: Site) -> tuple[str, str]:
    status, body = await site.ask("POST", "/v1/tokens", json={"role": "viewer", "owner": "anna"})
    assert status == 201, body
    return str(body["data"]["id"]), str(body["data"]["token"])


async def status_of(site: Site, token: str) -> int:
    return (await site.ask("GET", "/v1/tokens/none" if token == FORGED else "/v1/jobs", token))[0]


async def is_refused(site: Site, token: str) -> bool:
    return await status_of(site, token) == 401


async def refused(*sites: Site, count: int) -> None:
    """Every replica has refused so many records."""
    for site in sites:
        await eventually(lambda: site.parts.refused_records.count >= count, 30)  # noqa: B023


async def test_a_forged_grant_is_refused_and_reported(
    replicas: Replicas, own: dict[str, str], stranger: Stranger, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = await replicas.start("one", **own), await replicas.start("two", **own)
    await stranger.grant()
    await refused(one, two, count=1)
    for site in (one, two):
        assert await is_refused(site, FORGED)
    assert "a record was refused" in caplog.text
    _, metrics = await one.ask("GET", "/metrics")
    assert b"kinolog_refused_records 1.0" in metrics
    await eventually(lambda: one.parts.audit.flowing, 30)
    settings = one.parts.settings
    await eventually(lambda: _is_audited(settings), 30)


async def _is_audited(settings: Settings) -> bool:
    entries = [json.loads(record.value) async for record in read_records(settings)]
    found = [entry for entry in entries if entry["action"] == "refused-record"]
    return bool(found) and found[0]["code"] == "unsigned" and "tok_forged" in found[0]["subject"]


async def test_a_strangers_tombstone_revokes_nobody(
    replicas: Replicas, own: dict[str, str], stranger: Stranger
) -> None:
    one, two = await replicas.start("one", **own), await replicas.start("two", **own)
    token_id, token = await new_token(one)
    await stranger.write(token_id, None)
    await stranger.write(token_id, b"garbage")
    await refused(one, two, count=2)
    assert [await status_of(site, token) for site in (one, two)] == [200, 200]


async def test_a_grant_from_before_its_revocation_gives_nothing_also_after_a_restart(
    replicas: Replicas, own: dict[str, str], stranger: Stranger
) -> None:
    one = await replicas.start("one", **own)
    token_id, token = await new_token(one)
    assert (await one.ask("DELETE", f"/v1/tokens/{token_id}"))[0] == 200
    await stranger.repeat(token_id)
    await refused(one, count=1)
    assert await is_refused(one, token)
    assert await is_refused(await replicas.start("later", **own), token)


async def test_a_stranger_cannot_end_the_keys_of_media_urls(
    replicas: Replicas, own: dict[str, str], stranger: Stranger
) -> None:
    one = await replicas.start("one", **own)
    _, body = await one.ask("GET", "/v1/keys")
    [key_id] = [key["id"] for key in body["data"]]
    await stranger.write(key_id, msgspec.json.encode(SigningKeyRow(id=key_id, revoked_at=1.0)))
    await stranger.write("key_forged", msgspec.json.encode(SigningKeyRow(id="key_forged", created_at=1e12)))
    await refused(one, count=2)
    _, body = await one.ask("GET", "/v1/keys")
    assert [(key["id"], key["status"]) for key in body["data"]] == [(key_id, "signing")]


async def test_tokens_of_an_earlier_version_work_after_the_upgrade_and_are_signed(
    replicas: Replicas, own: dict[str, str], stranger: Stranger, caplog: pytest.LogCaptureFixture
) -> None:
    await stranger.grant()  # written as earlier versions wrote it
    one = await replicas.start("one", **own)
    assert not await is_refused(one, FORGED)
    assert "unsigned tokens and keys of an earlier version" in caplog.text
    await stranger.write("tok_forged", None)
    await refused(one, count=1)
    later = await replicas.start("later", **own)
    assert not await is_refused(later, FORGED)
    assert one.parts.access.state.version("tok_forged") == 1


async def test_two_replicas_that_upgrade_at_once_agree(
    replicas: Replicas, own: dict[str, str], stranger: Stranger
) -> None:
    await stranger.grant()
    one, two = await asyncio.gather(*(replicas.start(name, **own) for name in ("one", "two")))
    token_id, token = await new_token(two)
    await eventually(lambda: token_id in one.parts.tokens.rows, 30)
    assert [await status_of(site, token) for site in (one, two)] == [200, 200]
    assert one.parts.access.state.last == two.parts.access.state.last
    assert one.parts.refused_records.count == two.parts.refused_records.count == 0


async def test_tokens_outlive_a_rotation_of_the_signing_secret(
    replicas: Replicas, own: dict[str, str], stranger: Stranger
) -> None:
    token_id, token = await new_token(await replicas.start("one", **own))
    previous = json.dumps([SECRET])
    rotated = own | {"KINOLOG_AUTH__SIGNING_SECRET": NEXT_SECRET, "KINOLOG_AUTH__PREVIOUS_SIGNING_SECRETS": previous}
    two = await replicas.start("two", **rotated)
    assert await status_of(two, token) == 200
    await eventually(lambda: not two.parts.access.state.outdated(), 30)
    del rotated["KINOLOG_AUTH__PREVIOUS_SIGNING_SECRETS"]
    three = await replicas.start("three", **rotated)
    assert await status_of(three, token) == 200
    assert (await three.ask("DELETE", f"/v1/tokens/{token_id}"))[0] == 200
    await stranger.repeat(token_id)
    assert await is_refused(three, token)


async def test_of_many_revocations_at_once_none_is_lost(replicas: Replicas, own: dict[str, str]) -> None:
    one, two = await replicas.start("one", **own), await replicas.start("two", **own)
    made = [await new_token(one) for _ in range(10)]
    await eventually(lambda: all(token_id in two.parts.tokens.rows for token_id, _ in made), 30)
    ends = [site.ask("DELETE", f"/v1/tokens/{token_id}") for token_id, _ in made for site in (one, two)]
    assert {status for status, _ in await asyncio.gather(*ends)} == {200}
    for site in (one, two):
        await eventually(lambda: all(row.revoked_at for row in site.parts.tokens.rows.values()), 30)  # noqa: B023

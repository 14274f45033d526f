"""Keys of JSON Web Tokens from an identity provider's URL."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from streams.settings.interface import Jwt
from tests.conftest import eventually
from web.auth import jwt_tokens
from web.auth.jwt_tokens import JwtTokens


class Provider:
    """Publishes one key, and counts the requests for it."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid, self.asked, self.is_away = "k1", 0, False
        #: Other keys before it, and what holds an answer back.
        self.others: list[dict[str, Any]] = [{"kty": "EC", "crv": "P-0", "kid": "odd"}]
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.app = web.Application()
        self.app.router.add_get("/jwks.json", self.show)

    async def show(self, _: web.Request) -> web.Response:
        self.asked += 1
        await self.go_on.wait()
        if self.is_away:
            raise web.HTTPServiceUnavailable
        public = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        return web.json_response({"keys": [*self.others, public | {"kid": self.kid}]})

    def token(self, kid: str | None = None) -> str:
        claims = {"sub": "anna", "role": "editor", "exp": int(time.time()) + 60}
        return jwt.encode(claims, self.key, "RS256", headers={"kid": kid or self.kid})


@pytest.fixture
async def provider() -> Provider:
    return Provider()


@pytest.fixture
async def tokens(provider: Provider) -> AsyncIterator[JwtTokens]:
    async with TestServer(provider.app) as server:
        yield JwtTokens(Jwt(jwks=str(server.make_url("/jwks.json")), issuer="*", audience="*"))


async def test_a_published_key_is_fetched_once_and_an_invented_kid_does_not_make_us_ask_again(
    tokens: JwtTokens, provider: Provider
) -> None:
    found = [await tokens.find(provider.token()) for _ in range(5)]
    assert all(principal is not None and principal.owner == "anna" for principal in found)
    assert [await tokens.find(provider.token(f"invented-{n}")) for n in range(20)] == [None] * 20
    assert provider.asked == 1


async def test_a_provider_that_is_away_lets_nobody_in_who_was_not_known(tokens: JwtTokens, provider: Provider) -> None:
    provider.is_away = True
    assert await tokens.find(provider.token()) is None


def key_of(number: int) -> dict[str, Any]:
    """A key with a certificate chain beside it, as providers publish them."""
    public = json.loads(
        RSAAlgorithm.to_jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key())
    )
    return {**public, "kid": f"other-{number}", "x5c": ["M" * 20_000]}


async def test_keys_that_come_in_many_pieces_are_read_whole(tokens: JwtTokens, provider: Provider) -> None:
    provider.others = [key_of(number) for number in range(20)]
    found = await tokens.find(provider.token())
    assert found is not None and found.owner == "anna"


async def test_a_body_beyond_the_bound_is_no_set_of_keys(tokens: JwtTokens, provider: Provider) -> None:
    provider.others = [{"kty": "oct", "padding": "x" * 2 * 1024**2}]
    assert await tokens.find(provider.token()) is None


@pytest.mark.parametrize("body", [[], "keys", {"keys": {}}, {"keys": [1, {"kid": []}]}, {"keys": None}, 7])
async def test_what_is_no_set_of_keys_lets_nobody_in(body: Any, provider: Provider) -> None:
    async def show(_: web.Request) -> web.Response:
        return web.json_response(body)

    app = web.Application()
    app.router.add_get("/jwks.json", show)
    async with TestServer(app) as server:
        assert (
            await JwtTokens(Jwt(jwks=str(server.make_url("/jwks.json")), issuer="*", audience="*")).find(
                provider.token()
            )
            is None
        )


async def test_whoever_has_a_known_key_does_not_wait_for_a_provider_that_hangs(
    tokens: JwtTokens, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await tokens.find(provider.token()) is not None
    monkeypatch.setattr(jwt_tokens, "_FRESH_S", 0.0)
    monkeypatch.setattr(jwt_tokens, "_REFETCH_S", 0.0)
    provider.go_on.clear()
    async with asyncio.timeout(2):
        assert all([await tokens.find(provider.token()) is not None for _ in range(5)])
    await eventually(lambda: provider.asked == 2)
    provider.kid = "k2"  # the new key comes with the same answer
    waiting = [asyncio.create_task(tokens.find(provider.token("k2"))) for _ in range(20)]
    await asyncio.sleep(0)
    provider.go_on.set()
    assert all(found is not None for found in await asyncio.gather(*waiting))
    assert provider.asked == 2


async def test_a_request_that_is_given_up_does_not_end_the_fetch_that_others_wait_for(
    tokens: JwtTokens, provider: Provider
) -> None:
    provider.go_on.clear()
    first = asyncio.create_task(tokens.find(provider.token()))
    await eventually(lambda: provider.asked == 1)
    second = asyncio.create_task(tokens.find(provider.token()))
    await asyncio.sleep(0)
    first.cancel()
    provider.go_on.set()
    assert await second is not None and provider.asked == 1


async def test_a_key_that_the_provider_has_withdrawn_lets_nobody_in_any_more(
    tokens: JwtTokens, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = provider.token("k1")
    assert await tokens.find(before) is not None
    monkeypatch.setattr(jwt_tokens, "_FRESH_S", 0.0)
    monkeypatch.setattr(jwt_tokens, "_REFETCH_S", 0.0)
    provider.kid, provider.key = "k2", rsa.generate_private_key(public_exponent=65537, key_size=2048)

    async def is_refused() -> bool:
        return await tokens.find(before) is None

    await eventually(is_refused)
    assert await tokens.find(provider.token("k2")) is not None


async def test_new_keys_of_invented_names_cost_the_provider_one_request_in_ten_seconds(
    tokens: JwtTokens, provider: Provider
) -> None:
    storm = [tokens.find(provider.token(f"invented-{n}")) for n in range(200)]
    assert set(await asyncio.gather(*storm)) == {None}
    assert provider.asked == 1

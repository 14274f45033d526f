"""Keys of JSON Web Tokens from an identity provider's address."""

import json
import time
from collections.abc import AsyncIterator

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from streams.settings import Jwt
from web.jwt_tokens import JwtTokens


class Provider:
    """Publishes one key, and counts how often it was asked."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid, self.asked, self.is_away = "k1", 0, False
        self.app = web.Application()
        self.app.router.add_get("/jwks.json", self.show)

    async def show(self, _: web.Request) -> web.Response:
        self.asked += 1
        if self.is_away:
            raise web.HTTPServiceUnavailable
        public = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        return web.json_response({"keys": [public | {"kid": self.kid}, {"kty": "EC", "crv": "P-0", "kid": "odd"}]})

    def token(self, kid: str | None = None) -> str:
        claims = {"sub": "anna", "role": "editor", "exp": int(time.time()) + 60}
        return jwt.encode(claims, self.key, "RS256", headers={"kid": kid or self.kid})


@pytest.fixture
async def provider() -> Provider:
    return Provider()


@pytest.fixture
async def tokens(provider: Provider) -> AsyncIterator[JwtTokens]:
    async with TestServer(provider.app) as server:
        yield JwtTokens(Jwt(jwks=str(server.make_url("/jwks.json"))))


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

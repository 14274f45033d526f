"""Invalid tokens from an IP address are rate limited; valid tokens behind the same address are not."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.conftest import MakeSettings
from tests.integration.web.served import ADMIN, ENVIRON, Site, serve

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
GUESSER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def token(key: rsa.RSAPrivateKey = KEY, kid: str = "k1", **more: Any) -> str:
    claims = {"sub": "dora", "role": "viewer", "exp": int(time.time()) + 60, "jti": f"{time.time_ns()}"}
    return jwt.encode(claims | more, key, "RS256", headers={"kid": kid})


@pytest.fixture
async def site(make_settings: MakeSettings, tmp_path: Path) -> AsyncIterator[Site]:
    public = json.loads(RSAAlgorithm.to_jwk(KEY.public_key())) | {"kid": "k1"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [public]}))
    settings = {
        "KINOLOG_KAFKA__BOOTSTRAP": "127.0.0.1:1",
        "KINOLOG_AUTH__JWT__JWKS": str(tmp_path / "jwks.json"),
        "KINOLOG_AUTH__JWT__ISSUER": "*",
        "KINOLOG_AUTH__JWT__AUDIENCE": "*",
        "KINOLOG_AUTH__FAILURES": "5",
    }
    async with serve(make_settings(**ENVIRON, **settings), ready=False) as found:
        yield found


async def status(site: Site, token: str | None) -> int:
    return (await site.ask("GET", "/v1/stats", token))[0]


@pytest.mark.parametrize("kind", ["guesses", "forged", "expired", "of an invented key"])
async def test_they_lock_out_nobody_who_has_a_token_of_that_address(site: Site, kind: str) -> None:
    for number in range(30):
        wrong = {
            "guesses": f"guess-{number}",
            "forged": token(GUESSER),
            "expired": token(exp=1),
            "of an invented key": token(kid=f"invented-{number}"),
        }[kind]
        assert await status(site, wrong) == (401 if number < 5 else 429), number
        assert await status(site, token()) == 200, "a token that nobody has seen before"
    assert await status(site, "anna-views") == 200
    assert await status(site, ADMIN) == 200
    assert await status(site, None) == 401
    _, problem = await site.ask("GET", "/v1/stats", "guess")
    assert problem["code"] == "too-many-failures"

"""JSON Web Tokens: what is let in, and everything that must not be."""

import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from streams.settings import Jwt
from web.jwt_tokens import JwtTokens
from web.principal import Principal

SECRET = "s" * 40
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SETTINGS: dict[str, Any] = {"issuer": "https://id.example", "audience": "kinolog"}


def claims(**changed: Any) -> dict[str, Any]:
    good = {
        "sub": "anna",
        "role": "editor",
        "iss": "https://id.example",
        "aud": "kinolog",
        "exp": int(time.time()) + 60,
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


def _text(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def hs256(**changed: Any) -> str:
    return jwt.encode(claims(**changed), SECRET, "HS256")


def shared() -> JwtTokens:
    return JwtTokens(Jwt(secret=SECRET, **SETTINGS))


@pytest.fixture
def published(tmp_path: Path) -> JwtTokens:
    """Tokens checked with keys from a file."""
    key = json.loads(RSAAlgorithm.to_jwk(KEY.public_key())) | {"kid": "k1", "alg": "RS256", "use": "sig"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [key]}))
    return JwtTokens(Jwt(jwks=str(tmp_path / "jwks.json"), **SETTINGS))


async def test_a_good_token_says_who_asks_what_they_may_and_until_when() -> None:
    exp = int(time.time()) + 60
    assert await shared().find(hs256(jti="7", exp=exp)) == Principal("anna", "editor", "jwt:7", float(exp))


async def test_a_token_without_a_role_is_a_viewers() -> None:
    found = await shared().find(hs256(role=None))
    assert found is not None and found.role == "viewer"


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": int(time.time()) - 60},
        {"exp": None},
        {"aud": "somebody-else"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
        {"role": "root"},
        {"role": ["admin"]},
        {"nbf": int(time.time()) + 600},
    ],
    ids=lambda changed: ",".join(f"{name}={str(value)[:12]}" for name, value in changed.items()),
)
async def test_a_claim_that_does_not_fit_is_refused(changed: dict[str, Any]) -> None:
    assert await shared().find(hs256(**changed)) is None


async def test_a_token_without_a_signature_is_refused() -> None:
    for name in ("none", "None", "NONE", "nOnE"):
        assert await shared().find(f"{_text({'alg': name, 'typ': 'JWT'})}.{_text(claims())}.") is None


async def test_another_secret_is_refused() -> None:
    assert await shared().find(jwt.encode(claims(), "t" * 40, "HS256")) is None


async def test_a_published_key_lets_in_its_tokens_and_no_others(published: JwtTokens) -> None:
    assert await published.find(jwt.encode(claims(), KEY, "RS256", headers={"kid": "k1"})) is not None
    assert await published.find(jwt.encode(claims(), OTHER_KEY, "RS256", headers={"kid": "k1"})) is None
    assert await published.find(jwt.encode(claims(), KEY, "RS256", headers={"kid": "k2"})) is None


async def test_a_published_key_is_no_shared_secret(published: JwtTokens) -> None:
    public = RSAAlgorithm.to_jwk(KEY.public_key()).encode()
    said = f"{_text({'alg': 'HS256', 'kid': 'k1'})}.{_text(claims())}"
    signature = base64.urlsafe_b64encode(hmac.digest(public, said.encode(), "sha256")).decode().rstrip("=")
    assert await published.find(f"{said}.{signature}") is None


async def test_keys_that_cannot_be_read_let_nobody_in(tmp_path: Path) -> None:
    tokens = JwtTokens(Jwt(jwks=str(tmp_path / "missing.json"), **SETTINGS))
    assert await tokens.find(jwt.encode(claims(), KEY, "RS256", headers={"kid": "k1"})) is None


@pytest.mark.parametrize("text", ["..", "a.b.c", "é.ü.ö", "e30.e30.e30"])
async def test_what_is_no_token_is_refused(text: str) -> None:
    assert await shared().find(text) is None

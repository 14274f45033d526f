"""JSON Web Tokens: which are accepted, and which must not be."""

import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from streams.settings import SettingsError, load
from streams.settings.interface import Jwt
from web.auth.jwt_tokens import JwtTokens
from web.auth.principal import Principal

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
    """Tokens verified with keys from a file."""
    key = json.loads(RSAAlgorithm.to_jwk(KEY.public_key())) | {"kid": "k1", "alg": "RS256", "use": "sig"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [key]}))
    return JwtTokens(Jwt(jwks=str(tmp_path / "jwks.json"), **SETTINGS))


async def test_a_good_token_says_who_asks_what_they_may_and_until_when() -> None:
    exp = int(time.time()) + 60
    assert await shared().find(hs256(jti="7", exp=exp)) == Principal("anna", "editor", "jwt:7", exp + 10.0)


async def test_a_token_is_valid_by_the_logs_time_whatever_this_machines_clock_says() -> None:
    exp = int(time.time()) + 60
    for ahead_s, is_valid in ((-600.0, True), (0.0, True), (69.0, True), (71.0, False)):
        tokens = JwtTokens(Jwt(secret=SECRET, **SETTINGS), lambda: time.time() + ahead_s)  # noqa: B023
        assert (await tokens.find(hs256(exp=exp)) is not None) is is_valid, ahead_s
    behind = JwtTokens(Jwt(secret=SECRET, **SETTINGS), lambda: exp - 600.0)
    assert await behind.find(hs256(exp=exp, nbf=exp - 120)) is None


async def test_a_token_without_a_role_is_a_viewers() -> None:
    found = await shared().find(hs256(role=None))
    assert found is not None and found.role == "viewer"


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": int(time.time()) - 60},
        {"exp": None},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": "9999999999"},
        {"exp": True},
        {"iat": int(time.time()) + 600},
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
    # Without the times, which differ between the workers of a parallel run.
    ids=lambda changed: ",".join(
        f"{name}={'…' if isinstance(value, int) else value}" for name, value in changed.items()
    ),
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


EC_KEYS = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1(), "secp256k1": ec.SECP256K1()}


def issuer(kind: str) -> tuple[Any, dict[str, Any]]:
    """A private key, and its public half as a provider publishes it."""
    if kind == "RSA":
        return KEY, json.loads(RSAAlgorithm.to_jwk(KEY.public_key()))
    if kind == "Ed25519":
        edwards = ed25519.Ed25519PrivateKey.generate()
        return edwards, json.loads(OKPAlgorithm.to_jwk(edwards.public_key()))
    elliptic = ec.generate_private_key(EC_KEYS[kind])
    return elliptic, json.loads(ECAlgorithm.to_jwk(elliptic.public_key()))


def publishing(folder: Path, *keys: dict[str, Any]) -> JwtTokens:
    (folder / "jwks.json").write_text(json.dumps({"keys": keys}))
    return JwtTokens(Jwt(jwks=str(folder / "jwks.json"), **SETTINGS))


@pytest.mark.parametrize(
    "kind, algorithm, is_good",
    [
        ("RSA", "RS256", True),
        ("RSA", "RS512", True),
        ("RSA", "PS256", True),
        ("P-256", "ES256", True),
        ("P-384", "ES384", True),
        ("P-521", "ES512", True),
        ("Ed25519", "EdDSA", True),
        ("secp256k1", "ES256K", False),  # no provider's; nothing is taken that is not on the list
    ],
)
async def test_tokens_of_every_usual_algorithm_are_taken(
    tmp_path: Path, kind: str, algorithm: str, is_good: bool
) -> None:
    key, public = issuer(kind)
    token = jwt.encode(claims(), key, algorithm, headers={"kid": "k1"})
    assert (await publishing(tmp_path, public | {"kid": "k1"}).find(token) is not None) is is_good
    if kind != "RSA":
        other, _ = issuer(kind)
        forged = jwt.encode(claims(), other, algorithm, headers={"kid": "k1"})
        assert await publishing(tmp_path, public | {"kid": "k1"}).find(forged) is None


async def test_a_key_that_names_its_algorithm_serves_no_other(tmp_path: Path) -> None:
    key, public = issuer("RSA")
    tokens = publishing(tmp_path, public | {"kid": "k1", "alg": "RS256"})
    assert await tokens.find(jwt.encode(claims(), key, "RS256", headers={"kid": "k1"})) is not None
    assert await tokens.find(jwt.encode(claims(), key, "RS512", headers={"kid": "k1"})) is None


async def test_a_key_for_encryption_and_a_published_secret_sign_nothing(tmp_path: Path) -> None:
    key, public = issuer("RSA")
    assert await publishing(tmp_path, public | {"use": "enc"}).find(jwt.encode(claims(), key, "RS256")) is None
    secret = {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode(), "kid": "k1"}
    forged = jwt.encode(claims(), SECRET, "HS256", headers={"kid": "k1"})
    assert await publishing(tmp_path, secret, public).find(forged) is None


async def test_two_keys_of_one_name_serve_each_its_own_algorithm(tmp_path: Path) -> None:
    (rsa_key, rsa_public), (ec_key, ec_public) = issuer("RSA"), issuer("P-256")
    tokens = publishing(tmp_path, rsa_public | {"kid": "k1"}, ec_public | {"kid": "k1"})
    for key, algorithm in ((rsa_key, "RS256"), (ec_key, "ES256")):
        assert await tokens.find(jwt.encode(claims(), key, algorithm, headers={"kid": "k1"})) is not None


@pytest.mark.parametrize(
    "changed, is_good",
    [
        ({"exp": -5}, True),
        ({"exp": -15}, False),
        ({"nbf": 5}, True),
        ({"nbf": 15}, False),
        ({"iat": 5}, True),
        ({"iat": 15}, False),
    ],
    ids=str,
)
async def test_the_tolerated_clock_difference_is_that_of_every_time(changed: dict[str, int], is_good: bool) -> None:
    now = int(time.time())
    found = await shared().find(hs256(**{name: now + seconds for name, seconds in changed.items()}))
    assert (found is not None) is is_good
    assert found is None or (found.expires_at or 0) > now, "it would be valid and have expired"


@pytest.mark.parametrize(
    "changed, named",
    [
        ({"secret": "short"}, "AUTH__JWT__SECRET"),
        ({"secret": "s" * 31}, "AUTH__JWT__SECRET"),
        ({"issuer": None}, "AUTH__JWT__ISSUER"),
        ({"audience": None}, "AUTH__JWT__AUDIENCE"),
        ({"jwks": "keys.json", "secret": None, "audience": None}, "AUTH__JWT__AUDIENCE"),
        ({"leeway_s": -1.0}, "AUTH__JWT__LEEWAY_S"),
        ({"leeway_s": 86_400.0}, "AUTH__JWT__LEEWAY_S"),
    ],
    ids=lambda changed: ",".join(changed) if isinstance(changed, dict) else changed,
)
def test_settings_that_would_let_in_others_are_refused_at_start(changed: dict[str, Any], named: str) -> None:
    settings = {"secret": SECRET, **SETTINGS, **changed}
    environ = {
        f"KINOLOG_AUTH__JWT__{name.upper()}": str(value) for name, value in settings.items() if value is not None
    }
    with pytest.raises(SettingsError, match=named):
        load(environ)


async def test_a_provider_that_names_no_audience_can_be_used_when_that_is_said() -> None:
    tokens = JwtTokens(Jwt(secret=SECRET, issuer="https://id.example", audience="*"))
    assert await tokens.find(hs256(aud=None)) is not None
    assert await tokens.find(hs256(aud="somebody-else")) is not None
    assert await tokens.find(hs256(iss=None)) is None

"""JSON Web Tokens of an identity provider: checked with a shared secret or with the provider's published keys.

Source: RFC 7519, and RFC 8725: the algorithm must be allowed here and fit the key, whatever the token's header has.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import jwt
import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout

from schemas.access import Role
from streams.settings.interface import Jwt
from web.auth.principal import Principal
from web.http.token_bucket import Buckets

log = logging.getLogger("kinolog.web")

#: Age at which published keys are fetched again, and minimum time between two fetches.
_FRESH_S, _REFETCH_S = 600.0, 10.0
_FETCH_TIMEOUT = ClientTimeout(total=5.0)
_MAX_JWKS_BYTES = 1024**2
#: Issuer or audience that is not checked.
_ANY = "*"
#: Rate of logged refusals.
_LINES_PER_S, _LINES_BURST = 1.0, 20.0
#: Allowed algorithms of published keys, by key type. Checking one takes 0.04 (RS256) to 0.6 ms (ES384), less than
#: the request that carries it. Source: RFC 7518 section 3.1, RFC 8037.
_ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}

#: Keys by algorithm and key id: keys of several types may share an id.
Keys = dict[tuple[str, str | None], Any]


class JwtTokens:
    """Verifies the tokens of one issuer. Without a secret and without keys it accepts none."""

    def __init__(self, settings: Jwt, now: Callable[[], float] = time.time) -> None:
        """`now`: seconds since the epoch, for claims with a time."""
        self._settings, self._now = settings, now
        self._keys: Keys = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._lines = Buckets()

    @property
    def enabled(self) -> bool:
        """Whether any token could be valid."""
        return bool(self._settings.secret or self._settings.jwks)

    async def find(self, token: str) -> Principal | None:
        """Verify a token: its principal, or None when it is not valid now."""
        try:
            algorithm, kid = _header(token)
            key = await self._key(algorithm, kid)
            return None if key is None else self._principal(self._claims(token, key, algorithm))
        except (jwt.PyJWTError, ValueError) as error:
            self._report(error)
            return None

    def _report(self, error: Exception) -> None:
        """Log the reason for operators, at a limited rate."""
        if self._lines.wait_s("refused", time.monotonic(), per_s=_LINES_PER_S, burst=_LINES_BURST) == 0:
            log.info("JSON Web Token rejected", extra={"reason": str(error)[:200]})

    def _claims(self, token: str, key: Any, algorithm: str) -> dict[str, Any]:
        settings, required = self._settings, ["exp", self._settings.owner_claim]
        issuer, audience = (None if name == _ANY else name for name in (settings.issuer, settings.audience))
        required += ["iss"] if issuer else []
        required += ["aud"] if audience else []
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=issuer,
            audience=audience,
            options={
                "require": required,
                "verify_aud": audience is not None,
                "verify_exp": False,  # the library knows no other clock than this machine's
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
        _require_valid_now(claims, self._now(), settings.leeway_s)
        return claims

    def _principal(self, claims: dict[str, Any]) -> Principal | None:
        owner, role = claims[self._settings.owner_claim], claims.get(self._settings.role_claim, "viewer")
        if not isinstance(owner, str) or not owner or role not in get_args(Role):
            return None
        expires_at = float(claims["exp"]) + self._settings.leeway_s
        return Principal(owner, role, token_id=f"jwt:{claims.get('jti') or owner}", expires_at=expires_at)

    async def _key(self, algorithm: str, kid: str | None) -> Any:
        """The key for a token with that header; None when the settings allow no such token."""
        if algorithm == "HS256":
            return self._settings.secret
        if self._settings.jwks is None or not any(algorithm in known for known in _ALGORITHMS.values()):
            return None
        key = self._keys.get((algorithm, kid))
        is_fresh = time.monotonic() - self._fetched_at <= _FRESH_S
        if key is not None and is_fresh:
            return key
        fetching = self._begin_fetch(self._settings.jwks)
        if key is None and fetching is not None:  # a token with a known key does not wait for the provider
            await asyncio.shield(fetching)
            key = self._keys.get((algorithm, kid))
        return key

    def _begin_fetch(self, location: str) -> asyncio.Task[None] | None:
        """The running fetch, shared by all requests. None after a recent one: an invented kid must start no other."""
        if self._fetching is None and time.monotonic() - self._tried_at >= _REFETCH_S:
            self._tried_at = time.monotonic()
            self._fetching = asyncio.create_task(self._fetch(location))
        return self._fetching

    async def _fetch(self, location: str) -> None:
        try:
            self._keys = await asyncio.to_thread(_keys, await _read(location))
            self._fetched_at = time.monotonic()
        except (ClientError, OSError, ValueError) as error:
            log.warning("keys of JSON Web Tokens cannot be read", extra={"location": location, "reason": str(error)})
        finally:
            self._fetching = None


def _require_valid_now(claims: Mapping[str, Any], now: float, leeway_s: float) -> None:
    """Raise InvalidTokenError for a token that has expired or is not valid yet.

    Source: RFC 7519 section 4.1.4 to 4.1.6.
    """
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    if not all(type(value) in (int, float) and math.isfinite(value) for value in times.values()):
        raise jwt.InvalidTokenError("exp, nbf and iat must be numbers")
    if now >= times["exp"] + leeway_s:
        raise jwt.ExpiredSignatureError("the token has expired")
    if max(times.get("nbf", now), times.get("iat", now)) > now + leeway_s:
        raise jwt.ImmatureSignatureError("the token is not valid yet")


def _header(token: str) -> tuple[str, str | None]:
    header = jwt.get_unverified_header(token)
    kid = header.get("kid")
    return str(header.get("alg")), kid if isinstance(kid, str) else None


async def _read(location: str) -> bytes:
    """Read the published keys from a URL or a file. Raises ClientError, OSError, ValueError when they are too long."""
    if "://" not in location:
        return await asyncio.to_thread(Path(location).read_bytes)
    body = bytearray()
    client = ClientSession(timeout=_FETCH_TIMEOUT)
    async with client as session, session.get(location, allow_redirects=False) as response:
        response.raise_for_status()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > _MAX_JWKS_BYTES:
                raise ValueError(f"the keys have more than {_MAX_JWKS_BYTES} bytes")
    return bytes(body)


def _keys(text: bytes) -> Keys:
    """Parse the keys that can verify signatures; others are ignored. Blocking: many take long. Raises ValueError."""
    parsed = orjson.loads(text)
    listed = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(listed, list):
        raise ValueError('not a JSON Web Key Set: an object with a list of "keys" is required')  # noqa: TRY004  it is the provider's data
    return {
        (algorithm, one.get("kid")): key.key
        for one, key in _usable(listed)
        for algorithm in _algorithms_of(key, fixed="alg" in one)
    }


def _usable(listed: Sequence[Any]) -> Iterator[tuple[dict[str, Any], jwt.PyJWK]]:
    for one in listed:
        is_key = isinstance(one, dict) and isinstance(one.get("kid"), str | None) and one.get("use", "sig") == "sig"
        try:
            if is_key:
                yield one, jwt.PyJWK(one)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            log.info("published key ignored", extra={"kid": one.get("kid"), "reason": str(error)[:200]})


def _algorithms_of(key: jwt.PyJWK, *, fixed: bool) -> Sequence[str]:
    """The algorithm that the key names (`fixed`) or that its curve has; for RSA any."""
    family = _ALGORITHMS.get(key.key_type or "", ())
    return family if key.key_type == "RSA" and not fixed else [name for name in family if name == key.algorithm_name]

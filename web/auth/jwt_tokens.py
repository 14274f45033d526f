"""JSON Web Tokens of an identity provider: checked with a shared secret or with the provider's published keys.

Source: RFC 7519, and RFC 8725: the algorithm is on our list and fits the key, whatever the token says.
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import jwt
import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout

from schemas.access import Role
from streams.settings import Jwt
from web.auth.principal import Principal
from web.auth.token_bucket import Buckets

log = logging.getLogger("kinolog.web")

#: How long published keys are used before they are fetched again, and the least time between two fetches.
_FRESH_S, _FETCH_AGAIN_S = 600.0, 10.0
_FETCH_TIMEOUT = ClientTimeout(total=5.0)
_MAX_JWKS_BYTES = 1024**2
#: How many refusals are logged.
_LINES_PER_S, _LINES_BURST = 1.0, 20.0
#: What may be signed with published keys, by their type. Checking one takes 0.04 (RS256) to 0.6 ms (ES384), less than
#: the request that carries it. Source: RFC 7518 section 3.1, RFC 8037.
_ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}

#: Keys by algorithm and key id: one id may stand for keys of several types.
Keys = dict[tuple[str, str | None], Any]


class JwtTokens:
    """Checks tokens of one issuer. Without a secret and without keys it knows none."""

    def __init__(self, settings: Jwt) -> None:
        self._settings = settings
        self._keys: Keys = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._lines = Buckets()

    @property
    def enabled(self) -> bool:
        """Whether any token could be good."""
        return bool(self._settings.secret or self._settings.jwks)

    async def find(self, token: str) -> Principal | None:
        """Who the token says is asking; None when it is not good now."""
        try:
            algorithm, kid = _header(token)
            key = await self._key(algorithm, kid)
            return None if key is None else self._principal(self._claims(token, key, algorithm))
        except (jwt.PyJWTError, ValueError) as error:
            self._report(error)
            return None

    def _report(self, error: Exception) -> None:
        """One line for an operator who looks for the reason; a flood of wrong tokens is no flood of lines."""
        if self._lines.wait_s("refused", time.monotonic(), per_s=_LINES_PER_S, burst=_LINES_BURST) == 0:
            log.info("JSON Web Token rejected", extra={"reason": str(error)[:200]})

    def _claims(self, token: str, key: Any, algorithm: str) -> dict[str, Any]:
        known, required = self._settings, ["exp", self._settings.owner_claim]
        required += ["iss"] if known.issuer else []
        required += ["aud"] if known.audience else []
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=known.issuer,
            audience=known.audience,
            leeway=known.leeway_s,
            options={"require": required, "verify_aud": known.audience is not None},
        )
        return claims

    def _principal(self, claims: dict[str, Any]) -> Principal | None:
        owner, role = claims[self._settings.owner_claim], claims.get(self._settings.role_claim, "viewer")
        if not isinstance(owner, str) or not owner or role not in get_args(Role):
            return None
        return Principal(owner, role, token_id=f"jwt:{claims.get('jti') or owner}", expires_at=float(claims["exp"]))

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
        if key is None and fetching is not None:  # whoever has a known key waits for no provider
            await asyncio.shield(fetching)
            key = self._keys.get((algorithm, kid))
        return key

    def _begin_fetch(self, place: str) -> asyncio.Task[None] | None:
        """The fetch that runs now, shared by all. None: there was one lately, and an invented kid begins no other."""
        if self._fetching is None and time.monotonic() - self._tried_at >= _FETCH_AGAIN_S:
            self._tried_at = time.monotonic()
            self._fetching = asyncio.create_task(self._fetch(place))
        return self._fetching

    async def _fetch(self, place: str) -> None:
        try:
            self._keys = await asyncio.to_thread(_keys, await _read(place))
            self._fetched_at = time.monotonic()
        except (ClientError, OSError, ValueError) as error:
            log.warning("keys of JSON Web Tokens cannot be read", extra={"place": place, "reason": str(error)})
        finally:
            self._fetching = None


def _header(token: str) -> tuple[str, str | None]:
    header = jwt.get_unverified_header(token)
    kid = header.get("kid")
    return str(header.get("alg")), kid if isinstance(kid, str) else None


async def _read(place: str) -> bytes:
    """What a provider publishes. Raises ClientError, OSError, ValueError beyond the bound."""
    if "://" not in place:
        return await asyncio.to_thread(Path(place).read_bytes)
    body = bytearray()
    async with ClientSession(timeout=_FETCH_TIMEOUT) as session, session.get(place, allow_redirects=False) as answer:
        answer.raise_for_status()
        async for piece in answer.content.iter_any():
            body += piece
            if len(body) > _MAX_JWKS_BYTES:
                raise ValueError(f"the keys have more than {_MAX_JWKS_BYTES} bytes")
    return bytes(body)


def _keys(text: bytes) -> Keys:
    """The keys that can check signatures; others are left out. Blocking: many take long. Raises ValueError."""
    known = orjson.loads(text)
    listed = known.get("keys") if isinstance(known, dict) else None
    if not isinstance(listed, list):
        raise ValueError('not a JSON Web Key Set: an object with a list of "keys" is required')  # noqa: TRY004  it is foreign text
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
    """The one that the key names (`fixed`) or that its curve has; of RSA any."""
    family = _ALGORITHMS.get(key.key_type or "", ())
    return family if key.key_type == "RSA" and not fixed else [name for name in family if name == key.algorithm_name]

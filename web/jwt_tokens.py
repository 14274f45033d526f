"""JSON Web Tokens of an identity provider: checked with a shared secret or with the provider's published keys.

Source: RFC 7519, and RFC 8725 (the algorithm comes from our settings, never from the token).
"""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any, get_args

import jwt
import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout

from schemas.access import Role
from streams.settings import Jwt
from web.principal import Principal

log = logging.getLogger("kinolog.web")

#: How long published keys are used before they are fetched again, and the least time between two fetches.
_FRESH_S, _FETCH_AGAIN_S = 600.0, 10.0
_FETCH_TIMEOUT = ClientTimeout(total=5.0)
_MAX_JWKS_BYTES = 1024**2

Keys = dict[str | None, Any]


class JwtTokens:
    """Checks tokens of one issuer. Without a secret and without keys it knows none."""

    def __init__(self, settings: Jwt) -> None:
        self._settings = settings
        self._keys: Keys = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()

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
            log.info("a JSON Web Token was refused", extra={"reason": str(error)})
            return None

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
        if algorithm != "RS256" or not self._settings.jwks:
            return None
        if kid not in self._keys or time.monotonic() - self._fetched_at > _FRESH_S:
            await self._fetch(self._settings.jwks, kid)
        return self._keys.get(kid)

    async def _fetch(self, place: str, kid: str | None) -> None:
        async with self._fetching:
            now = time.monotonic()
            if now - self._tried_at < _FETCH_AGAIN_S:
                return  # somebody has just looked; an invented kid must not make us ask for each request
            self._tried_at = now
            try:
                self._keys = _keys(await _read(place))
                self._fetched_at = now
            except (ClientError, TimeoutError, OSError, ValueError, jwt.PyJWTError) as error:
                log.warning("the keys of JSON Web Tokens cannot be read", extra={"kid": kid, "reason": str(error)})


def _header(token: str) -> tuple[str, str | None]:
    header = jwt.get_unverified_header(token)
    kid = header.get("kid")
    return str(header.get("alg")), kid if isinstance(kid, str) else None


async def _read(place: str) -> bytes:
    if "://" not in place:
        return await asyncio.to_thread(Path(place).read_bytes)
    async with ClientSession(timeout=_FETCH_TIMEOUT) as session, session.get(place, allow_redirects=False) as answer:
        answer.raise_for_status()
        return await answer.content.read(_MAX_JWKS_BYTES)


def _keys(text: bytes) -> Keys:
    """RSA keys by their id. Raises ValueError, PyJWTError."""
    found = jwt.PyJWKSet.from_dict(orjson.loads(text))
    return {key.key_id: key.key for key in found.keys if key.key_type == "RSA"}

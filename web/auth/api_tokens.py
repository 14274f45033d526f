"""API tokens: read from media.tokens into memory by every replica, written when one is created or revoked."""

import asyncio
import hashlib
import hmac
import secrets
from typing import Any

import msgspec
from msgspec.structs import replace

from schemas.access import TokenRow
from streams.ids import new_id
from web.auth.access_log import AccessLog

_SECRET_BYTES = 32
#: Digest that the secret of an unknown id is compared with, for constant time.
_NO_DIGEST = "0" * 64


class TokenLog:
    """The tokens that were created with `kinolog token create`."""

    def __init__(self, log: AccessLog) -> None:
        self._log = log

    @property
    def rows(self) -> dict[str, TokenRow]:
        """All tokens by id; they change on the event loop only."""
        return self._log.state.tokens

    @property
    def caught_up(self) -> asyncio.Event:
        """Set once everything on the log at start has been read."""
        return self._log.caught_up

    def find(self, token: str, now: float) -> TokenRow | None:
        """Find the row of an active token, in constant time."""
        token_id, _, secret = token.partition(".")
        row = self.rows.get(token_id)
        genuine = hmac.compare_digest(_digest(secret), row.digest if row else _NO_DIGEST)
        return row if row is not None and genuine and is_active(row, now) else None

    async def create(self, draft: TokenRow) -> tuple[TokenRow, str]:
        """Write a token with a new id and secret. Returns the row and the token, which cannot be recovered later.

        Raises Problem (503).
        """
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        row = replace(draft, id=new_id("tok"), digest=_digest(secret))
        await self._log.write(row.id, msgspec.json.encode(row))
        return row, f"{row.id}.{secret}"

    async def revoke(self, row: TokenRow, now: float) -> TokenRow:
        """Revoke a token on every replica. A repeat is harmless. Raises Problem (503)."""
        revoked = row if row.revoked_at is not None else replace(row, revoked_at=now)
        await self._log.write(row.id, msgspec.json.encode(revoked))
        return revoked


def is_active(row: TokenRow, now: float) -> bool:
    """Whether the token is neither revoked nor expired."""
    return row.revoked_at is None and (row.expires_at is None or now < row.expires_at)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def new_row(**fields: Any) -> TokenRow:
    """A row without id and digest, which `create` adds."""
    return TokenRow(id="", digest="", **fields)

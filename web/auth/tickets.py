"""Tickets for live connections: valid for one connection and 30 seconds, so that no token appears in a URL."""

import base64
import hashlib
import hmac
import secrets

import msgspec
from cachetools import FIFOCache

from web.auth.principal import Principal

TTL_S = 30
_REMEMBERED = 100_000
_SIGNATURE_BYTES = 18


class _Ticket(msgspec.Struct, frozen=True, array_like=True):
    expires: int
    nonce: str
    principal: Principal


_decoder = msgspec.json.Decoder(_Ticket)


class Tickets:
    """Issues and redeems tickets. Replicas with the same signing secret accept each other's."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"live tickets", hashlib.sha256)
        self._used: FIFOCache[str, None] = FIFOCache(_REMEMBERED)

    def issue(self, principal: Principal, now: float) -> tuple[str, int]:
        """Issue a ticket; also its expiry, seconds since the epoch."""
        expires = int(now) + TTL_S
        body = msgspec.json.encode(_Ticket(expires, secrets.token_hex(12), principal))
        return f"{_text(body)}.{_text(self._signature(body))}", expires

    def redeem(self, ticket: str, now: float) -> Principal | None:
        """Redeem a ticket: its principal; None when it is forged, expired, or was used on this replica before."""
        body_text, _, signature = ticket.partition(".")
        try:
            body = _bytes(body_text)
            if not hmac.compare_digest(_bytes(signature), self._signature(body)):
                return None
            decoded = _decoder.decode(body)
        except (ValueError, msgspec.MsgspecError):
            return None
        if now >= decoded.expires or decoded.nonce in self._used:
            return None
        self._used[decoded.nonce] = None
        return decoded.principal

    def _signature(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)[:_SIGNATURE_BYTES]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)

"""Tickets for live connections, so that no token appears in a URL: valid for reconnections until they expire.

An EventSource reconnects to the URL that it was opened with, and gives up for good when that is refused.
"""

import base64
import hashlib
import hmac
import secrets

import msgspec

from web.auth.principal import Principal

#: Lifetime unless another is requested, and the longest, seconds.
TTL_S, MAX_TTL_S = 3600, 86_400
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

    def issue(self, principal: Principal, now: float, ttl_s: int = TTL_S) -> tuple[str, int]:
        """Issue a ticket; also its expiry, seconds since the epoch."""
        expires = int(now) + ttl_s
        body = msgspec.json.encode(_Ticket(expires, secrets.token_hex(12), principal))
        return f"{_text(body)}.{_text(self._signature(body))}", expires

    def redeem(self, ticket: str, now: float) -> Principal | None:
        """The principal of a ticket; None when it is forged or expired. A repeat has the same result."""
        body_text, _, signature = ticket.partition(".")
        try:
            body = _bytes(body_text)
            if not hmac.compare_digest(_bytes(signature), self._signature(body)):
                return None
            decoded = _decoder.decode(body)
        except (ValueError, msgspec.MsgspecError):
            return None
        return decoded.principal if now < decoded.expires else None

    def _signature(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)[:_SIGNATURE_BYTES]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)

"""Tickets for live connections: good for one connection, for half a minute, so that no token stands in an address."""

import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict

import msgspec

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
    """Makes and takes tickets. Those of another replica are taken where both have the same signing secret."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"live tickets", hashlib.sha256)
        self._used: OrderedDict[str, None] = OrderedDict()

    def issue(self, principal: Principal, now: float) -> tuple[str, int]:
        """A ticket and when it ends, seconds since the epoch."""
        expires = int(now) + TTL_S
        body = msgspec.json.encode(_Ticket(expires, secrets.token_hex(12), principal))
        return f"{_text(body)}.{_text(self._signature(body))}", expires

    def redeem(self, ticket: str, now: float) -> Principal | None:
        """Whose it is; None for one that is not ours, has ended, or was used here before."""
        body_text, _, signature = ticket.partition(".")
        try:
            body, given = _bytes(body_text), _bytes(signature)
            if not hmac.compare_digest(given, self._signature(body)):
                return None
            found = _decoder.decode(body)
        except (ValueError, msgspec.MsgspecError):
            return None
        if now >= found.expires or found.nonce in self._used:
            return None
        self._used[found.nonce] = None
        if len(self._used) > _REMEMBERED:
            self._used.popitem(last=False)
        return found.principal

    def _signature(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)[:_SIGNATURE_BYTES]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)

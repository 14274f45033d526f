"""Signatures of a scheduler's requests, made with the current key or, during a key rotation, the next one.

Two forms: `X-Signature: sha256=<hex>` over `<X-Timestamp>.<body>`, HMAC-SHA256; or `Upstash-Signature`, a JSON Web
Token (HS256) whose `body` claim is the hash of the body.
Source: RFC 2104; https://upstash.com/docs/qstash/howto/signature
"""

import base64
import hashlib
import hmac

import jwt
from aiohttp import web

from web.http.problems import Problem

#: Validity of a signed request, seconds.
_FRESH_S = 300.0


async def require_signature(request: web.Request, keys: tuple[str | None, ...], now: float) -> None:
    """Raise Problem (401) for a request that no key has signed, or whose signature is too old."""
    body = await request.read()
    if not any(_is_signed(request, key, body, now) for key in keys if key):
        raise Problem(401, "invalid-signature", "the request must be signed with the current or the next signing key")


def _is_signed(request: web.Request, key: str, body: bytes, now: float) -> bool:
    if (token := request.headers.get("Upstash-Signature")) is not None:
        return _is_signed_by_token(token, key, body)
    return _is_signed_plainly(
        request.headers.get("X-Signature", ""), request.headers.get("X-Timestamp", ""), key, body, now
    )


def _is_signed_plainly(signature: str, timestamp: str, key: str, body: bytes, now: float) -> bool:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    expected = hmac.digest(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hex()
    is_genuine = hmac.compare_digest(f"sha256={expected}".encode(), signature.encode(errors="replace"))
    return is_genuine and abs(now - int(timestamp)) <= _FRESH_S


def _is_signed_by_token(token: str, key: str, body: bytes) -> bool:
    try:
        claims = jwt.decode(token, key, algorithms=["HS256"], options={"require": ["exp", "body"], "verify_aud": False})
    except (jwt.PyJWTError, ValueError):
        return False
    expected = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=")
    return hmac.compare_digest(expected, str(claims["body"]).rstrip("=").encode(errors="replace"))

"""Signatures of a scheduler's requests, made with the current key or, during a key rotation, the next one.

Three forms. `X-Signature: sha256=<hex>`, HMAC-SHA256 over `<X-Timestamp>.<X-Message-Id>.<step>.<body>`; without the
header X-Message-Id, over `<X-Timestamp>.<body>`. Or `Upstash-Signature`, a JSON Web Token (HS256) whose `body` claim is
the hash of the body and whose `sub` is the URL. A message makes one job however often it is sent, at whichever step.
Source: RFC 2104; https://upstash.com/docs/qstash/howto/signature
"""

import base64
import hashlib
import hmac
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jwt
from aiohttp import web
from jwt.types import Options

from streams.kafka.topics import SIGNED_CALL_S
from web.http.problems import Problem

#: Validity of a signed request, seconds.
_FRESH_S = 300.0
#: Tolerated clock difference of a token's `nbf`, `iat` and `exp`, seconds.
_LEEWAY_S = 10.0
_MAX_MESSAGE_ID_CHARS = 255


class SignedCall(NamedTuple):
    """A call whose signature is genuine."""

    #: Id of the message, the same each time it is sent.
    message_id: str
    #: Id of its token where the message's id is not signed: the token must not have been used for another message.
    token_id: str | None = None


async def signed_call(request: web.Request, keys: tuple[str | None, ...], now: float) -> SignedCall:
    """Verify the signature of a request. Raises Problem (401) when no key has made it, or it is too old or of another
    step.
    """
    body, step = await request.read(), request.match_info["step"]
    for key in filter(None, keys):
        call = _of_token(request, key, body, step, now) or _of_signature(request, key, body, step, now)
        if call is not None:
            return call
    raise invalid_signature()


def invalid_signature() -> Problem:
    """The problem of a call that is not signed, or whose token was used for another message."""
    return Problem(401, "invalid-signature", "the request must be signed with the current or the next signing key")


def _of_signature(request: web.Request, key: str, body: bytes, step: str, now: float) -> SignedCall | None:
    signature, timestamp = request.headers.get("X-Signature", ""), request.headers.get("X-Timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return None
    message_id = request.headers.get("X-Message-Id")
    named = f"{timestamp}." if message_id is None else f"{timestamp}.{message_id}.{step}."
    digest = hmac.digest(key.encode(), named.encode(errors="surrogateescape") + body, hashlib.sha256).hex()
    is_genuine = hmac.compare_digest(f"sha256={digest}".encode(), signature.encode(errors="replace"))
    if not is_genuine or abs(now - int(timestamp)) > _FRESH_S:
        return None
    return SignedCall(f"signature {digest}" if message_id is None else _message(message_id))


def _of_token(request: web.Request, key: str, body: bytes, step: str, now: float) -> SignedCall | None:
    token = request.headers.get("Upstash-Signature")
    if token is None:
        return None
    options: Options = {"require": ["exp", "body"], "verify_aud": False, "verify_sub": False}
    try:
        claims = jwt.decode(token, key, algorithms=["HS256"], leeway=_LEEWAY_S, options=options)
    except (jwt.PyJWTError, ValueError):
        return None
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=")
    is_genuine = hmac.compare_digest(digest, str(claims["body"]).rstrip("=").encode(errors="replace"))
    if not is_genuine or not _is_for(claims, step) or claims["exp"] > now + SIGNED_CALL_S:
        return None
    token_id = str(claims.get("jti") or hashlib.sha256(token.encode()).hexdigest())
    return SignedCall(_message(request.headers.get("Upstash-Message-Id", token_id)), token_id)


def _is_for(claims: dict[str, Any], step: str) -> bool:
    """Whether the token's URL, if it names one, is that of the step."""
    try:
        return "sub" not in claims or urlsplit(str(claims["sub"])).path.rstrip("/").endswith(f"/steps/{step}")
    except ValueError:
        return False


def _message(message_id: str) -> str:
    return f"message {message_id[:_MAX_MESSAGE_ID_CHARS]}"

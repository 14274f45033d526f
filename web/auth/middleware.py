"""Who asks, and what they may: tokens of four kinds, three roles, owners."""

import hashlib
import hmac
import math
import time
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from schemas.access import Role
from streams.settings import Auth, Settings
from web.auth.api_tokens import TokenLog
from web.auth.jwt_tokens import JwtTokens
from web.auth.principal import OPERATOR, Principal
from web.auth.tickets import Tickets
from web.auth.token_bucket import Buckets
from web.http.problems import Problem, unavailable
from web.http.routing import Access, Handler, declared

#: The websocket subprotocol; a browser adds a second one, "bearer.<token>", because it cannot set headers.
SUBPROTOCOL = "kinolog"
_BEARER_PROTOCOL = "bearer."

#: What each declared access takes; what is not declared (404, 405) takes any token.
_RANK: dict[Access, int] = {"public": 0, "signed": 0, "viewer": 1, "editor": 2, "admin": 3}
#: How fast an address that has failed too often may try again.
_TRIES_PER_S = 0.5

PRINCIPAL = web.RequestKey("principal", Principal)


class FixedTokens:
    """The tokens that the settings give."""

    def __init__(self, auth: Auth) -> None:
        self._known = [
            (_digest(fixed.token), Principal(fixed.owner, fixed.role, token_id=f"fixed:{number}"))
            for number, fixed in enumerate(auth.tokens, 1)
        ]
        if auth.token:
            self._known.append((_digest(auth.token), OPERATOR))

    def find(self, token: str) -> Principal | None:
        """Whose token it is. Takes as long for a wrong one as for a right one."""
        asked, found = _digest(token), None
        for digest, principal in self._known:
            if hmac.compare_digest(digest, asked):
                found = principal
        return found


class Authenticator:
    """Tells who asks, and makes wait who asks too often."""

    def __init__(self, settings: Settings, tokens: TokenLog, tickets: Tickets) -> None:
        self._settings = settings
        self._fixed = FixedTokens(settings.auth)
        self._tokens = tokens
        self._jwt = JwtTokens(settings.auth.jwt)
        self._tickets = tickets
        self._failures, self._rates = Buckets(), Buckets()

    async def principal(self, request: web.Request) -> Principal:
        """Who asks. Raises Problem: 401, 429 for a wrong token after too many, 503 while tokens are not known yet."""
        if not self._settings.auth.enabled:
            return OPERATOR
        route = declared(request)
        ticket = request.query.get("ticket") if route is not None and route.ticket else None
        token = given_token(request) or ticket
        if token is None:
            raise _unauthorized("a token is required: Authorization: Bearer …")
        found = self._tickets.redeem(token, time.time()) if token == ticket else await self.find(token)
        if found is None or not self.still_good(found):
            raise self._refused(request)
        return found

    async def find(self, token: str) -> Principal | None:
        """Whose token it is. Raises Problem (503)."""
        if (fixed := self._fixed.find(token)) is not None:
            return fixed
        if token.count(".") == 2 and self._jwt.enabled:
            return await self._jwt.find(token)
        row = self._tokens.find(token, time.time())
        if row is not None:
            return Principal(row.owner, row.role, row.id, row.expires_at, row.requests_per_s)
        if not self._tokens.caught_up.is_set() and token.startswith("tok_"):
            raise unavailable("not-ready", "the tokens are still being read from the log: try again", 1)
        return None

    def still_good(self, principal: Principal) -> bool:
        """Whether a token that was good has not ended or been revoked since: for connections that stay."""
        if principal.expires_at is not None and time.time() >= principal.expires_at:
            return False
        row = self._tokens.rows.get(principal.token_id)
        if row is None:
            return not (principal.token_id.startswith("tok_") and self._tokens.caught_up.is_set())
        return row.revoked_at is None

    def require_rate(self, principal: Principal) -> None:
        """Take one from the token's allowance. Raises Problem (429)."""
        per_s = principal.requests_per_s or self._settings.auth.requests_per_s
        if per_s <= 0:
            return
        wait_s = self._rates.wait_s(principal.token_id, time.monotonic(), per_s=per_s, burst=max(2 * per_s, 1.0))
        if wait_s > 0:
            raise _wait("too-many-requests", f"this token is limited to {per_s:g} requests per second", wait_s)

    def _refused(self, request: web.Request) -> Problem:
        """For a wrong token. Looked up first and counted then: what others at an address try makes nobody wait."""
        burst = float(max(self._settings.auth.failures, 1))
        wait_s = self._failures.wait_s(self._remote(request), time.monotonic(), per_s=_TRIES_PER_S, burst=burst)
        if wait_s > 0:
            return _wait("too-many-failures", "too many invalid tokens from this IP address", wait_s)
        return _unauthorized("this token is not valid", ', error="invalid_token"')

    def _remote(self, request: web.Request) -> str:
        return remote_of(request, self._settings.web.trusted_proxies)


def _unauthorized(detail: str, reason: str = "") -> Problem:
    return Problem(401, "unauthorized", detail, {"WWW-Authenticate": f'Bearer realm="kinolog"{reason}'})


def _wait(code: str, detail: str, wait_s: float) -> Problem:
    return Problem(429, code, f"{detail}: try again later", {"Retry-After": str(max(math.ceil(wait_s), 1))})


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def authentication(door: Authenticator) -> Middleware:
    """Middleware that lets nobody in without a token, except where that is public."""

    @web.middleware
    async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = declared(request)
        if route is None or not route.public:
            request[PRINCIPAL] = principal = await door.principal(request)
            door.require_rate(principal)
            require_role(principal.role, route.access if route else "viewer")
        return await handler(request)

    return authenticated


def require_role(role: Role, access: Access) -> None:
    """Refuse who may not do this. Raises Problem (403)."""
    if _RANK[role] < _RANK[access]:
        needed = "admin" if access == "admin" else "editor or admin"
        raise Problem(403, "forbidden", f"the role {role} does not allow this: {needed} is required")


def given_token(request: web.Request) -> str | None:
    """The token of the request: Authorization header, or a websocket's subprotocol."""
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for name in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(","):
        if name.strip().startswith(_BEARER_PROTOCOL):
            return name.strip().removeprefix(_BEARER_PROTOCOL)
    return None


def remote_of(request: web.Request, trusted_proxies: int) -> str:
    """The caller's address: the connection's, or what the outermost trusted proxy says."""
    direct = request.remote or "?"
    if trusted_proxies < 1:
        return direct
    told = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    return told[-trusted_proxies] if len(told) >= trusted_proxies else direct


def asking(request: web.Request) -> Principal:
    """Who asks. What role that takes stands at the route."""
    return request[PRINCIPAL]


def _place(origin: str) -> str | None:
    """Host and port of an origin; None for what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def require_same_origin(request: web.Request, allowed: tuple[str, ...] = ()) -> None:
    """Refuse a browser that another site's page drives, unless the settings allow that site. Raises Problem (403)."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None or origin in allowed or "*" in allowed:
        return
    if _place(origin) != request.host.lower():
        raise Problem(403, "foreign-origin", "pages of other origins may not open this")

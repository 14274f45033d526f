"""Authentication of requests: four kinds of tokens, three roles, rate limits."""

import hashlib
import hmac
import math
import time
from collections.abc import Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from schemas.access import Role
from streams.settings import Settings
from streams.settings.interface import Auth
from web.auth.api_tokens import TokenLog
from web.auth.jwt_tokens import JwtTokens
from web.auth.principal import OPERATOR, Principal
from web.auth.tickets import Tickets
from web.http.fair_semaphore import CALLER
from web.http.problems import Problem, unavailable
from web.http.requests_at_once import is_counted
from web.http.routing import Access, Handler, route_of
from web.http.token_bucket import Buckets

#: The websocket subprotocol; a browser adds a second one, "bearer.<token>", because it cannot set headers.
SUBPROTOCOL = "kinolog"
_BEARER_PROTOCOL = "bearer."

#: Minimum role of each access, as a rank; an unknown path (404, 405) needs any token.
_RANK: dict[Access, int] = {"public": 0, "signed": 0, "viewer": 1, "editor": 2, "admin": 3}
#: Attempts per second of an IP address after too many failures.
_TRIES_PER_S = 0.5

PRINCIPAL = web.RequestKey("principal", Principal)


class FixedTokens:
    """The tokens of the settings."""

    def __init__(self, auth: Auth) -> None:
        self._known = [
            (_digest(fixed.token), Principal(fixed.owner, fixed.role, token_id=f"fixed:{number}"))
            for number, fixed in enumerate(auth.tokens, 1)
        ]
        if auth.token:
            self._known.append((_digest(auth.token), OPERATOR))

    def find(self, token: str) -> Principal | None:
        """Find the principal of a token, in constant time."""
        sought, match = _digest(token), None
        for digest, principal in self._known:
            if hmac.compare_digest(digest, sought):
                match = principal
        return match


class Authenticator:
    """Finds the principal of a request, and limits the rate of requests and of failures."""

    def __init__(self, settings: Settings, tokens: TokenLog, tickets: Tickets, now: Callable[[], float]) -> None:
        """`now`: the log's time, seconds since the epoch."""
        self._settings, self._now = settings, now
        self._fixed = FixedTokens(settings.auth)
        self._tokens = tokens
        self._jwt = JwtTokens(settings.auth.jwt, now)
        self._tickets = tickets
        self._failures, self._rates = Buckets(), Buckets()

    async def principal(self, request: web.Request) -> Principal:
        """Authenticate a request. Raises Problem: 401, 429 after too many failures, 503 while tokens are loading."""
        if not self._settings.auth.enabled:
            return OPERATOR
        route = route_of(request)
        ticket = request.query.get("ticket") if route is not None and route.ticket else None
        token = bearer_token(request) or ticket
        if token is None:
            raise _unauthorized("a token is required: Authorization: Bearer …")
        principal = self._tickets.redeem(token, self._now()) if token == ticket else await self.find(token)
        if principal is None or not self.is_still_valid(principal):
            raise self._refused(request)
        return principal

    async def find(self, token: str) -> Principal | None:
        """Find the principal of a token. Raises Problem (503)."""
        if (fixed := self._fixed.find(token)) is not None:
            return fixed
        if token.count(".") == 2 and self._jwt.enabled:
            return await self._jwt.find(token)
        row = self._tokens.find(token, self._now())
        if row is not None:
            return Principal(row.owner, row.role, row.id, row.expires_at, row.requests_per_s)
        if not self._tokens.caught_up.is_set() and token.startswith("tok_"):
            raise unavailable("not-ready", "the tokens are still being read from the log: try again", 1)
        return None

    def is_still_valid(self, principal: Principal) -> bool:
        """Whether a token that was valid has neither expired nor been revoked since: for long-lived connections."""
        if principal.expires_at is not None and self._now() >= principal.expires_at:
            return False
        row = self._tokens.rows.get(principal.token_id)
        if row is None:
            return not (principal.token_id.startswith("tok_") and self._tokens.caught_up.is_set())
        return row.revoked_at is None

    def require_rate(self, principal: Principal) -> None:
        """Count a request against the token's rate limit. Raises Problem (429)."""
        per_s = principal.requests_per_s or self._settings.auth.requests_per_s
        if per_s <= 0:
            return
        wait_s = self._rates.wait_s(principal.token_id, time.monotonic(), per_s=per_s, burst=max(2 * per_s, 1.0))
        if wait_s > 0:
            raise _wait("too-many-requests", f"this token is limited to {per_s:g} requests per second", wait_s)

    def _refused(self, request: web.Request) -> Problem:
        """The problem for an invalid token. Only failures are counted: valid tokens at the same address never wait."""
        burst = float(max(self._settings.auth.failures, 1))
        wait_s = self._failures.wait_s(self.remote(request), time.monotonic(), per_s=_TRIES_PER_S, burst=burst)
        if wait_s > 0:
            return _wait("too-many-failures", "too many invalid tokens from this IP address", wait_s)
        return _unauthorized("this token is not valid", ', error="invalid_token"')

    def remote(self, request: web.Request) -> str:
        """IP address of the client."""
        return client_ip(request, self._settings.web.trusted_proxies)


def _unauthorized(detail: str, reason: str = "") -> Problem:
    return Problem(401, "unauthorized", detail, {"WWW-Authenticate": f'Bearer realm="kinolog"{reason}'})


def _wait(code: str, detail: str, wait_s: float) -> Problem:
    return Problem(429, code, f"{detail}: try again later", {"Retry-After": str(max(math.ceil(wait_s), 1))})


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def authentication(authenticator: Authenticator) -> Middleware:
    """Middleware that requires a valid token of the route's role, except on public routes."""

    @web.middleware
    async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = route_of(request)
        CALLER.set(f"address:{authenticator.remote(request)}")
        if route is None or not route.public:
            request[PRINCIPAL] = principal = await authenticator.principal(request)
            authenticator.require_rate(principal)
            CALLER.set(principal.turn)
            require_role(principal.role, route.access if route else "viewer")
        return await handler(request)

    return authenticated


def require_role(role: Role, access: Access) -> None:
    """Raise Problem (403) for a role without this access."""
    if _RANK[role] < _RANK[access]:
        needed = "admin" if access == "admin" else "editor or admin"
        raise Problem(403, "forbidden", f"the role {role} does not allow this: {needed} is required")


def bearer_token(request: web.Request) -> str | None:
    """The token of a request: from the Authorization header, or a websocket's subprotocol."""
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for name in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(","):
        if name.strip().startswith(_BEARER_PROTOCOL):
            return name.strip().removeprefix(_BEARER_PROTOCOL)
    return None


def client_ip(request: web.Request, trusted_proxies: int) -> str:
    """IP address of the client: the connection's, or the one that the outermost trusted proxy forwards."""
    direct = request.remote or "?"
    if trusted_proxies < 1:
        return direct
    forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    return forwarded[-trusted_proxies] if len(forwarded) >= trusted_proxies else direct


def counted_caller(request: web.Request, trusted_proxies: int) -> str | None:
    """As whom a request is counted: its caller, or its IP address where it needs no token; None: it is not counted."""
    if not is_counted(request):
        return None
    principal = request.get(PRINCIPAL)
    return principal.turn if principal is not None else f"address:{client_ip(request, trusted_proxies)}"


def caller_of(request: web.Request) -> Principal:
    """The authenticated caller of a request."""
    return request[PRINCIPAL]

"""Who asks, and what they may: bearer tokens, three roles, owners."""

import hashlib
import hmac
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from streams.settings import Auth
from web.problems import Problem
from web.routes import Access, Handler, declared

Role = Literal["viewer", "editor", "admin"]

#: The websocket subprotocol; a browser adds a second one, "bearer.<token>", because it cannot set headers.
SUBPROTOCOL = "kinolog"
_BEARER_PROTOCOL = "bearer."

#: What each declared access takes; what is not declared (404, 405) takes any token.
_RANK: dict[Access, int] = {"public": 0, "signed": 0, "viewer": 1, "editor": 2, "admin": 3}


class Principal(NamedTuple):
    """Who asks."""

    #: None: the operator, who owns nothing and sees all.
    owner: str | None
    role: Role

    @property
    def scope(self) -> str | None:
        """The owner whose things are visible; None: everybody's."""
        return None if self.role == "admin" else self.owner

    def sees(self, owner: str | None) -> bool:
        """Whether something that belongs to `owner` is visible."""
        return self.role == "admin" or (owner is not None and owner == self.owner)


OPERATOR = Principal(None, "admin")
PRINCIPAL = web.RequestKey("principal", Principal)


class Tokens:
    """The tokens that the settings give."""

    def __init__(self, auth: Auth) -> None:
        self.enabled = auth.enabled
        self._known = [(_digest(fixed.token), Principal(fixed.owner, fixed.role)) for fixed in auth.tokens]
        if auth.token:
            self._known.append((_digest(auth.token), OPERATOR))

    def find(self, token: str) -> Principal | None:
        """Whose token it is. Takes as long for a wrong one as for a right one."""
        asked, found = _digest(token), None
        for digest, principal in self._known:
            if hmac.compare_digest(digest, asked):
                found = principal
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def authentication(tokens: Tokens) -> Middleware:
    """Middleware that lets nobody in without a token, except where that is public."""

    @web.middleware
    async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = declared(request)
        if route is None or not route.public:
            principal = _principal(tokens, request) if tokens.enabled else OPERATOR
            require_role(principal, route.access if route else "viewer")
            request[PRINCIPAL] = principal
        return await handler(request)

    return authenticated


def require_role(principal: Principal, access: Access) -> None:
    """Refuse who may not do this. Raises Problem (403)."""
    if _RANK[principal.role] < _RANK[access]:
        needed = "admin" if access == "admin" else "editor or admin"
        raise Problem(403, "forbidden", f"a token of the role {principal.role} may not do this: it takes {needed}")


def _principal(tokens: Tokens, request: web.Request) -> Principal:
    token = given_token(request)
    found = tokens.find(token) if token else None
    if found is None:
        detail = "this token is not known" if token else "a token is needed: Authorization: Bearer …"
        challenge = 'Bearer realm="kinolog"' + (', error="invalid_token"' if token else "")
        raise Problem(401, "unauthorized", detail, {"WWW-Authenticate": challenge})
    return found


def given_token(request: web.Request) -> str | None:
    """The token of the request: Authorization header, or a websocket's subprotocol."""
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for name in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(","):
        if name.strip().startswith(_BEARER_PROTOCOL):
            return name.strip().removeprefix(_BEARER_PROTOCOL)
    return None


def asking(request: web.Request) -> Principal:
    """Who asks. What role that takes stands at the route."""
    return request[PRINCIPAL]


def require_same_origin(request: web.Request) -> None:
    """Refuse a browser that another site's page drives. Raises Problem (403)."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and urlsplit(origin).netloc.lower() != request.host.lower():
        raise Problem(403, "foreign-origin", "pages of other sites may not open this")

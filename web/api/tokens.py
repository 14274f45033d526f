"""/v1/me: the caller. /v1/tokens: create, list, revoke API tokens. /v1/live/tickets: tickets for live connections."""

import re
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from schemas.access import Role, TokenRow
from streams.kafka.envelope import iso_time
from web.api.common import data_response, json_body
from web.auth.api_tokens import is_active, new_row
from web.auth.middleware import caller_of
from web.auth.tickets import MAX_TTL_S, TTL_S
from web.http.problems import Problem, not_found
from web.http.routing import Routes
from web.services import services
from web.views.models import Answer, View

routes = Routes("Access")

_OWNER = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_MAX_TTL_S = 10 * 365 * 86_400


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/tokens`."""

    role: Role
    #: Owner whose assets and jobs it may access; optional for the role admin only.
    owner: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    #: What it is for, free text.
    label: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    #: Seconds until it expires; unset: never.
    ttl_s: Annotated[float, msgspec.Meta(gt=0, le=_MAX_TTL_S)] | None = None
    #: Maximum requests per second to one replica; unset: the setting's.
    requests_per_s: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] | None = None


class TokenView(View, frozen=True, kw_only=True):
    """An API token, without its secret."""

    id: str
    role: Role
    owner: str | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    #: Whether it is valid now.
    good: bool
    label: str | UnsetType = UNSET
    created_by: str | UnsetType = UNSET
    requests_per_s: float | UnsetType = UNSET


class CreatedToken(TokenView, frozen=True, kw_only=True):
    """A new token; `token` is shown only this once and is not stored."""

    token: str


class Caller(View, frozen=True, kw_only=True):
    """The authenticated caller."""

    #: Owner whose assets and jobs it may access; null: the operator, or an admin without an owner.
    owner: str | None
    #: "viewer" reads, "editor" writes, too, "admin" sees and does everything.
    role: Role
    #: Id of the token in the audit.
    token_id: str


class NewTicket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/live/tickets`; may be left out."""

    #: Seconds until it expires.
    ttl_s: Annotated[int, msgspec.Meta(ge=1, le=MAX_TTL_S)] = TTL_S


class Ticket(View, frozen=True, kw_only=True):
    """A ticket for live connections: `?ticket=` of /v1/live or /v1/live/sse."""

    ticket: str
    expires_at: str


@routes.get("/v1/me", responses={200: Answer[Caller]})
async def show_caller(request: web.Request) -> web.Response:
    """Show whom the token belongs to, and what it may do."""
    principal = caller_of(request)
    return data_response(Caller(owner=principal.owner, role=principal.role, token_id=principal.token_id))


@routes.post(
    "/v1/tokens",
    access="admin",
    body=NewToken,
    responses={201: Answer[CreatedToken]},
    problems=(400, 413, 415, 422, 503),
)
async def create_token(request: web.Request) -> web.Response:
    """Create an API token. It is shown only once; only its hash is stored."""
    body, now = await json_body(request, NewToken), await services(request).clock.soon()
    if body.role != "admin" and not body.owner:
        raise Problem(422, "invalid-body", "owner is required for the roles viewer and editor")
    if body.owner and not _OWNER.fullmatch(body.owner):
        raise Problem(422, "invalid-body", "owner must not have control characters")
    principal = caller_of(request)
    row, token = await services(request).tokens.create(
        new_row(
            role=body.role,
            owner=body.owner,
            label=body.label,
            expires_at=None if body.ttl_s is None else now + body.ttl_s,
            created_by=principal.owner or principal.token_id,
            requests_per_s=body.requests_per_s,
            created_at=now,
        )
    )
    return data_response(CreatedToken(**_fields(row, now), token=token), status=201)


@routes.get("/v1/tokens", access="admin", responses={200: Answer[list[TokenView]]})
async def list_tokens(request: web.Request) -> web.Response:
    """List created tokens, the newest first; tokens of the settings are not listed."""
    now = services(request).clock.best()
    rows = sorted(services(request).tokens.rows.values(), key=lambda row: (row.created_at, row.id), reverse=True)
    return data_response([TokenView(**_fields(row, now)) for row in rows])


@routes.delete("/v1/tokens/{token_id}", access="admin", responses={200: Answer[TokenView]}, problems=(404, 503))
async def revoke_token(request: web.Request) -> web.Response:
    """Revoke a token on every replica; its live connections are closed. A repeat is harmless."""
    tokens, now = services(request).tokens, await services(request).clock.soon()
    row = tokens.rows.get(request.match_info["token_id"])
    if row is None:
        raise not_found("token")
    return data_response(TokenView(**_fields(await tokens.revoke(row, now), now)))


@routes.post(
    "/v1/live/tickets",
    access="viewer",
    body=NewTicket,
    responses={201: Answer[Ticket]},
    problems=(400, 413, 415, 422),
)
async def create_ticket(request: web.Request) -> web.Response:
    """Create a ticket for live connections: for browsers, which cannot set headers.

    It opens any number of connections until it expires, after an hour by default, so that an EventSource can reconnect.
    """
    body: NewTicket = await json_body(request, NewTicket)
    ticket, expires = services(request).tickets.issue(caller_of(request), services(request).clock.best(), body.ttl_s)
    return data_response(Ticket(ticket=ticket, expires_at=iso_time(expires)), status=201)


def _fields(row: TokenRow, now: float) -> dict[str, Any]:
    return {
        "id": row.id,
        "role": row.role,
        "owner": row.owner,
        "created_at": iso_time(row.created_at),
        "expires_at": None if row.expires_at is None else iso_time(row.expires_at),
        "revoked_at": None if row.revoked_at is None else iso_time(row.revoked_at),
        "good": is_active(row, now),
        "label": row.label or UNSET,
        "created_by": row.created_by or UNSET,
        "requests_per_s": row.requests_per_s or UNSET,
    }

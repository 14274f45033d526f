"""/v1/keys: list, rotate and revoke the keys that sign media URLs."""

from aiohttp import web
from msgspec import UNSET, UnsetType

from streams.kafka.envelope import iso_time
from web.api.common import data_response
from web.auth.middleware import caller_of
from web.auth.signing_keys import KeyState, KeyStatus
from web.http.routing import Routes
from web.services import services
from web.views.models import Answer, View

routes = Routes("Access")


class KeyView(View, frozen=True, kw_only=True):
    """A key that signs media URLs, without the key itself."""

    id: str
    #: signing: signs new URLs; accepted: its URLs are valid until they expire; expired, revoked: they are not valid.
    status: KeyStatus
    #: Null: it is a key of the settings, or of the file.
    created_at: str | None
    revoked_at: str | None
    #: When the last of its URLs has expired; null: it still signs, or none is valid.
    accepted_until: str | None
    created_by: str | UnsetType = UNSET
    revoked_by: str | UnsetType = UNSET


@routes.get("/v1/keys", access="admin", responses={200: Answer[list[KeyView]]}, problems=(503,))
async def list_keys(request: web.Request) -> web.Response:
    """List the keys that sign media URLs, the newest first, those of the settings last."""
    parts = services(request)
    now = await parts.clock.soon()
    parts.signing_keys.current(now)
    return data_response([_view(state) for state in parts.signing_keys.states(now)])


@routes.post("/v1/keys", access="admin", responses={201: Answer[KeyView]}, problems=(409, 503))
async def rotate_key(request: web.Request) -> web.Response:
    """Make a key that signs media URLs from now on, on every replica. Earlier URLs are valid until they expire."""
    parts = services(request)
    state = await parts.signing_keys.rotate(await parts.clock.soon(), _caller(request))
    return data_response(_view(state), status=201)


@routes.delete("/v1/keys/{key_id}", access="admin", responses={200: Answer[KeyView]}, problems=(404, 409, 503))
async def revoke_key(request: web.Request) -> web.Response:
    """Reject all media URLs of a key, on every replica. If it signs, another is made first. A repeat is harmless."""
    parts, key_id = services(request), request.match_info["key_id"]
    return data_response(_view(await parts.signing_keys.revoke(key_id, await parts.clock.soon(), _caller(request))))


def _caller(request: web.Request) -> str:
    principal = caller_of(request)
    return principal.owner or principal.token_id


def _view(state: KeyState) -> KeyView:
    row = state.row
    return KeyView(
        id=row.id,
        status=state.status,
        created_at=_time(row.created_at),
        revoked_at=_time(row.revoked_at),
        accepted_until=_time(state.accepted_until),
        created_by=row.created_by or UNSET,
        revoked_by=row.revoked_by or UNSET,
    )


def _time(at: float | None) -> str | None:
    return None if at is None else iso_time(at)

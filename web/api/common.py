"""What handlers read: one's own writes, one's own things, JSON bodies."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from schemas.jobs import Asset, Job
from web.auth.principal import Principal
from web.http.cursors import InvalidCursor, WriteCursor, dump, load
from web.http.problems import Problem, not_found, unavailable
from web.readmodel import queries
from web.readmodel.changelog import Changelog
from web.services import Services, services
from web.views.models import Answer

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")


class AfterQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Query parameters of a read."""

    #: Cursor of a write: wait until that write is visible on this replica.
    after: str | None = None


def answer(content: Any, *, status: int = 200, cursor: WriteCursor | None = None) -> web.Response:
    """`{"data": …}`, and the cursor of the write that it tells of."""
    shown = Answer(data=content, cursor=msgspec.UNSET if cursor is None else dump(cursor))
    return web.Response(body=msgspec.json.encode(shown), status=status, content_type="application/json")


def plain(content: Any, *, status: int = 200) -> web.Response:
    """`content` as it is, without `{"data": …}`."""
    return web.Response(body=msgspec.json.encode(content), status=status, content_type="application/json")


async def settled(request: web.Request, changelog: Changelog) -> None:
    """Wait until the write of `?after=` is visible. Raises Problem: 400 for no cursor, 503 when it takes too long.

    Not an older answer instead: whoever gives a cursor has asked not to get one.
    """
    text = request.query.get("after")
    if text is None:
        return
    parts, cursor = services(request), load(text, WriteCursor)
    if parts.position.log is not None and cursor.log != parts.position.log:
        raise InvalidCursor("this cursor belongs to another Kafka log")
    await _applied(parts, changelog, cursor)


async def _applied(parts: Services, changelog: Changelog, write: WriteCursor) -> None:
    if not await parts.position.until(
        lambda: parts.position.has_applied(changelog, write), parts.settings.web.after_timeout_s
    ):
        raise unavailable("read-model-behind", "the write is not visible on this replica yet: try again")


async def job_of(request: web.Request, principal: Principal, job_id: str) -> Job:
    """The job, when the principal may see it. Raises Problem (404)."""
    await settled(request, "jobs")
    parts = services(request)
    job = await _found(parts, "jobs", job_id, lambda: parts.model.read(queries.job, job_id))
    if job is None or not principal.sees(job.owner):
        raise not_found("job")
    return job


async def asset_of(request: web.Request, principal: Principal, asset_id: str) -> Asset:
    """The asset, when the principal may see it. Raises Problem (404)."""
    await settled(request, "assets")
    parts = services(request)
    asset = await _found(parts, "assets", asset_id, lambda: parts.model.read(queries.asset, asset_id))
    if asset is None or not principal.sees(asset.owner):
        raise not_found("asset")
    return asset


async def _found(
    parts: Services, changelog: Changelog, an_id: str, look: Callable[[], Awaitable[T | None]]
) -> T | None:
    """What `look` finds; waited for when this very process has just written it."""
    found = await look()
    write = parts.commands.recent(an_id) if found is None else None
    if write is None:
        return found
    await _applied(parts, changelog, write)
    return await look()


async def json_body(request: web.Request, kind: type[S] | Any) -> Any:
    """The body as `kind`. Raises Problem: 415, 413, 400 for what is no JSON, 422 for JSON of another shape."""
    if request.content_type not in ("application/json", "application/octet-stream"):
        raise Problem(415, "unsupported-media-type", "the body must be application/json")
    raw = await request.read()
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid-body", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "invalid-json", f"the body is not JSON: {error}") from error

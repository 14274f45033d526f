"""Helpers of all handlers: JSON bodies and responses, visible jobs and assets, reads after writes."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from schemas.jobs import Asset, Job
from web.auth.principal import Principal
from web.http.cursors import InvalidCursor, WriteCursor, dump, load
from web.http.problems import CLOSE, Problem, not_found, unavailable
from web.http.public_url import public_base
from web.readmodel import queries
from web.readmodel.changelog import Changelog
from web.services import Services, services
from web.views.models import Answer

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

#: A query of the read model for the row with an id.
Query = Callable[[sqlite3.Connection, str], T | None]

_BODY_SLICE_BYTES = 64 * 1024


class AfterQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Query parameters of a read."""

    #: Cursor of a write: wait until that write is visible on this replica.
    after: str | None = None


def data_response(content: Any, *, status: int = 200, cursor: WriteCursor | None = None) -> web.Response:
    """Respond with `{"data": …}`, and with the cursor of the write."""
    view = Answer(data=content, cursor=msgspec.UNSET if cursor is None else dump(cursor))
    return web.Response(body=msgspec.json.encode(view), status=status, content_type="application/json")


def json_response(content: Any, *, status: int = 200) -> web.Response:
    """Respond with `content` itself, without `{"data": …}`."""
    return web.Response(body=msgspec.json.encode(content), status=status, content_type="application/json")


def base_url(request: web.Request) -> str:
    """The service's URL as the client knows it, without a trailing slash."""
    settings = services(request).settings.web
    return public_base(request, settings.public_base, behind_proxy=settings.trusted_proxies > 0)


async def wait_for_cursor(request: web.Request, changelog: Changelog) -> None:
    """Wait until the write of `?after=` is visible. Raises Problem: 400 for a malformed cursor, 503 after a timeout.

    A stale response is no fallback: the client that sends a cursor must see the write.
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


async def visible_job(request: web.Request, principal: Principal, job_id: str) -> Job:
    """Read a job that the principal may see. Raises Problem (404)."""
    await wait_for_cursor(request, "jobs")
    job = await read_own_write(services(request), principal, "jobs", job_id, queries.job)
    if job is None or not principal.sees(job.owner):
        raise not_found("job")
    return job


async def visible_asset(request: web.Request, principal: Principal, asset_id: str) -> Asset:
    """Read an asset that the principal may see, by its id or by the id that the owner chose. Raises Problem (404)."""
    await wait_for_cursor(request, "assets")
    for one in principal.asset_ids(asset_id):
        asset = await read_own_write(services(request), principal, "assets", one, queries.asset)
        if asset is not None and principal.sees(asset.owner):
            return asset
    raise not_found("asset")


async def read_own_write(
    parts: Services, principal: Principal, changelog: Changelog, an_id: str, query: Query[T]
) -> T | None:
    """Read a row; wait for it when this process has just written it for this owner."""
    row = await parts.model.read(query, an_id)
    write = parts.commands.recent(an_id, principal.scope) if row is None else None
    if write is None:
        return row
    await _applied(parts, changelog, write)
    return await parts.model.read(query, an_id)


async def read_body(request: web.Request) -> bytes:
    """The whole body. Raises Problem (408) for a client that takes more than `upload_stall_s` for 64 KiB."""
    most_s = services(request).settings.web.upload_stall_s * (1 + (request.content_length or 0) // _BODY_SLICE_BYTES)
    try:
        async with asyncio.timeout(most_s):
            return await request.read()
    except TimeoutError as error:
        raise Problem(408, "upload-stalled", f"the body was not complete within {most_s:g} s", CLOSE) from error


async def json_body(request: web.Request, kind: type[S] | Any) -> Any:
    """Decode the body as `kind`. Raises Problem: 415, 413, 400 for malformed JSON, 422 for JSON of another shape."""
    if request.content_type not in ("application/json", "application/octet-stream"):
        raise Problem(415, "unsupported-media-type", "the body must be application/json")
    raw = await read_body(request)
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid-body", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "invalid-json", f"the body is not JSON: {error}") from error

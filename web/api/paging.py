"""A page of a list, read and encoded in a reader's thread."""

import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from web.http.cursors import PageCursor, dump
from web.readmodel.list_query import Listing
from web.readmodel.read_shares import in_shares
from web.services import services
from web.views.models import Page

#: Renders a stored row.
View = Callable[[bytes], Any]


async def page(request: web.Request, listing: Listing, view: View) -> web.Response:
    """Respond with `{"data": […], "next_cursor": …}`; null on the last page."""
    body = await services(request).model.read(_page, listing, view)
    return web.Response(body=body, content_type="application/json")


#: Newest rows that a search tries before it scans all.
_FIRST_ROWS = 2_000


def page_rows(db: sqlite3.Connection, listing: Listing) -> list[tuple[str, Any, bytes]]:
    """Read id, sorted value and row of each item; one more than the limit when another page follows."""
    if (sample := listing.sample(_FIRST_ROWS)) is not None:
        rows = db.execute(*sample).fetchall()
        if len(rows) > listing.limit:
            return rows
    return db.execute(listing.sql(), listing.args).fetchall()


def _page(db: sqlite3.Connection, listing: Listing, view: View) -> bytes:
    rows = page_rows(db, listing)
    visible = rows[: listing.limit]
    following = None
    if len(rows) > listing.limit:
        an_id, value, _ = visible[-1]
        following = dump(PageCursor(listing.sort, value, an_id))
    return msgspec.json.encode(Page(data=[view(row) for _, _, row in in_shares(visible)], next_cursor=following))

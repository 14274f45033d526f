"""A list's query -> its page, read and encoded in a reader's thread."""

import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from web.http.cursors import PageCursor, dump
from web.readmodel.list_query import Listing
from web.services import services
from web.views.models import Page

#: A stored row -> what is shown of it.
View = Callable[[bytes], Any]


async def page(request: web.Request, listing: Listing, view: View) -> web.Response:
    """`{"data": […], "next_cursor": …}`; the last page has null there."""
    body = await services(request).model.read(_page, listing, view)
    return web.Response(body=body, content_type="application/json")


#: Rows that are looked at before a search looks at all.
_GLANCE = 2_000


def page_rows(db: sqlite3.Connection, listing: Listing) -> list[tuple[str, Any, bytes]]:
    """Id, sorted value and row; one more than the page has when another follows."""
    if (glance := listing.glance(_GLANCE)) is not None:
        found = db.execute(*glance).fetchall()
        if len(found) > listing.limit:
            return found
    return db.execute(listing.sql(), listing.args).fetchall()


def _page(db: sqlite3.Connection, listing: Listing, view: View) -> bytes:
    rows = page_rows(db, listing)
    shown = rows[: listing.limit]
    following = None
    if len(rows) > listing.limit:
        an_id, value, _ = shown[-1]
        following = dump(PageCursor(listing.sort, value, an_id))
    return msgspec.json.encode(Page(data=[view(row) for _, _, row in shown], next_cursor=following))

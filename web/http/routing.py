"""The route table: a route says once what it is, and both the router and the OpenAPI document are made from that.

routes = Routes("Jobs")

@routes.get("/v1/jobs", query=JobsQuery, answers={200: Page[JobView]}, problems=(400,))
async def list_jobs(request: web.Request) -> web.Response:
    \"\"\"First line: the summary in the document; the rest: its description.\"\"\"

A noun's module has one `routes`; web/route_list.py lists the modules.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec
from aiohttp import web

#: Who is let in: everybody; whoever holds a signed address; a token of at least that role.
Access = Literal["public", "signed", "viewer", "editor", "admin"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Of an answer that is not JSON: its media type.
MediaType = str


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method on one path."""

    method: str
    #: As aiohttp writes it: "/v1/jobs/{job_id}".
    path: str
    handler: Handler
    #: The noun that it belongs to.
    tag: str
    access: Access
    #: Its query parameters: a struct whose fields they are, with defaults.
    query: type[msgspec.Struct] | None
    #: The type of its JSON body, or media types of another one.
    body: Any
    #: The type of the body by status; media types, ", " between them, for what no type tells; None for no body.
    answers: Mapping[int, Any]
    #: Statuses of the problems that are particular to it.
    problems: tuple[int, ...]
    #: Whether a repeat with the same Idempotency-Key is the same request.
    idempotent: bool
    #: Whether its answer has an ETag, so that one that has not changed need not be sent again.
    etag: bool
    #: Whether a live ticket opens it.
    ticket: bool
    #: Whether it answers HEAD as it answers GET.
    head: bool
    #: What happens on `Expect: 100-continue`; None: the body is asked for at once.
    expect: Callable[[web.Request], Awaitable[Any]] | None

    @property
    def public(self) -> bool:
        """Whether it needs no token."""
        return self.access in ("public", "signed")


class Declared(Protocol):
    """What decorates a handler; it stays what it is."""

    def __call__(self, handler: Handler, /) -> Handler:
        """Register the handler."""


class Routes:
    """The routes of one noun."""

    def __init__(self, tag: str, *, hidden: bool = False) -> None:
        #: Heading in the document.
        self.tag = tag
        #: Whether the document leaves them out: the page's own files.
        self.hidden = hidden
        self.found: list[Route] = []

    def get(self, path: str, **options: Any) -> Declared:
        """Register a GET, see `on`. HEAD goes with it."""
        return self.on("GET", path, **{"head": True, **options})

    def post(self, path: str, **options: Any) -> Declared:
        """Register a POST, see `on`; it takes an editor unless it says otherwise."""
        return self.on("POST", path, **{"access": "editor", **options})

    def delete(self, path: str, **options: Any) -> Declared:
        """Register a DELETE, see `on`; it takes an editor unless it says otherwise."""
        return self.on("DELETE", path, **{"access": "editor", **options})

    def on(
        self,
        method: str,
        path: str,
        *,
        access: Access = "viewer",
        query: type[msgspec.Struct] | None = None,
        body: Any = None,
        answers: Mapping[int, Any],
        problems: tuple[int, ...] = (),
        idempotent: bool = False,
        etag: bool = False,
        ticket: bool = False,
        head: bool = False,
        expect: Callable[[web.Request], Awaitable[Any]] | None = None,
    ) -> Declared:
        """Register a handler; the fields are those of Route."""

        def declare(handler: Handler) -> Handler:
            route = Route(
                method=method,
                path=path,
                handler=handler,
                tag=self.tag,
                access=access,
                query=query,
                body=body,
                answers=answers,
                problems=problems,
                idempotent=idempotent,
                etag=etag,
                ticket=ticket,
                head=head,
                expect=expect,
            )
            self.found.append(route)
            return handler

        return declare


#: What each of the router's routes was declared as.
DECLARED: web.AppKey[dict[web.AbstractRoute, Route]] = web.AppKey("declared", dict)

#: All that was declared, for the document.
ALL_ROUTES: web.AppKey[tuple[Routes, ...]] = web.AppKey("all-routes", tuple)


def add_routes(app: web.Application, route_list: tuple[Routes, ...]) -> None:
    """Fill the router."""
    app[DECLARED], app[ALL_ROUTES] = {}, route_list
    for routes in route_list:
        for route in routes.found:
            for method in ("HEAD", route.method) if route.head else (route.method,):
                added = app.router.add_route(method, route.path, route.handler, expect_handler=route.expect)
                app[DECLARED][added] = route


def declared(request: web.Request) -> Route | None:
    """The route that was asked for; None when there is none."""
    route = request.match_info.route
    return request.app[DECLARED].get(route)

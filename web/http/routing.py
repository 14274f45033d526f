"""The route table: routes are declared once, for both the router and the OpenAPI document.

routes = Routes("Jobs")

@routes.get("/v1/jobs", query=JobsQuery, responses={200: Page[JobView]}, problems=(400,))
async def list_jobs(request: web.Request) -> web.Response:
    \"\"\"First line: the summary in the document; the rest: its description.\"\"\"

Each module of handlers has one `routes`; web/route_list.py lists the modules.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec
from aiohttp import web

#: Required access: none; a signed URL; a token of at least that role.
Access = Literal["public", "signed", "viewer", "editor", "admin"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Media type of a response that is not JSON.
MediaType = str


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method on one path."""

    method: str
    #: In aiohttp's syntax: "/v1/jobs/{job_id}".
    path: str
    handler: Handler
    #: Its heading in the OpenAPI document.
    tag: str
    access: Access
    #: Its query parameters: the fields of a struct, with defaults.
    query: type[msgspec.Struct] | None
    #: The type of its JSON body, or a tuple of other media types.
    body: Any
    #: Response body by status: a type for JSON, media types separated by ", ", or None for no body.
    responses: Mapping[int, Any]
    #: Statuses of its problems, besides those of every route.
    problems: tuple[int, ...]
    #: Whether a repeat with the same Idempotency-Key is the same request.
    idempotent: bool
    #: Whether its response has an ETag, so that an unchanged one is not sent again.
    etag: bool
    #: Whether a live ticket is accepted instead of a token.
    ticket: bool
    #: Whether HEAD is served like GET.
    head: bool
    #: Handler of `Expect: 100-continue`; None: 100 Continue is sent at once.
    expect: Callable[[web.Request], Awaitable[Any]] | None

    @property
    def public(self) -> bool:
        """Whether it needs no token."""
        return self.access in ("public", "signed")


class RouteDecorator(Protocol):
    """Decorator that registers a handler and returns it unchanged."""

    def __call__(self, handler: Handler, /) -> Handler:
        """Register the handler."""


class Routes:
    """The routes of one module, under one heading."""

    def __init__(self, tag: str, *, hidden: bool = False) -> None:
        #: Heading in the OpenAPI document.
        self.tag = tag
        #: Whether the OpenAPI document leaves them out: the page's own files.
        self.hidden = hidden
        self.entries: list[Route] = []

    def get(self, path: str, **options: Any) -> RouteDecorator:
        """Register a GET and its HEAD, see `on`."""
        return self.on("GET", path, **{"head": True, **options})

    def post(self, path: str, **options: Any) -> RouteDecorator:
        """Register a POST, see `on`; the role editor is required by default."""
        return self.on("POST", path, **{"access": "editor", **options})

    def delete(self, path: str, **options: Any) -> RouteDecorator:
        """Register a DELETE, see `on`; the role editor is required by default."""
        return self.on("DELETE", path, **{"access": "editor", **options})

    def on(
        self,
        method: str,
        path: str,
        *,
        access: Access = "viewer",
        query: type[msgspec.Struct] | None = None,
        body: Any = None,
        responses: Mapping[int, Any],
        problems: tuple[int, ...] = (),
        idempotent: bool = False,
        etag: bool = False,
        ticket: bool = False,
        head: bool = False,
        expect: Callable[[web.Request], Awaitable[Any]] | None = None,
    ) -> RouteDecorator:
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
                responses=responses,
                problems=problems,
                idempotent=idempotent,
                etag=etag,
                ticket=ticket,
                head=head,
                expect=expect,
            )
            self.entries.append(route)
            return handler

        return declare


#: The declaration of each of the router's routes.
DECLARED: web.AppKey[dict[web.AbstractRoute, Route]] = web.AppKey("declared", dict)

#: All declarations, for the OpenAPI document.
ALL_ROUTES: web.AppKey[tuple[Routes, ...]] = web.AppKey("all-routes", tuple)


def add_routes(app: web.Application, route_list: tuple[Routes, ...]) -> None:
    """Fill the router."""
    app[DECLARED], app[ALL_ROUTES] = {}, route_list
    for routes in route_list:
        for route in routes.entries:
            for method in ("HEAD", route.method) if route.head else (route.method,):
                added = app.router.add_route(method, route.path, route.handler, expect_handler=route.expect)
                app[DECLARED][added] = route


def route_of(request: web.Request) -> Route | None:
    """The declared route of a request; None for an unknown path."""
    route = request.match_info.route
    return request.app[DECLARED].get(route)

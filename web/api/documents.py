"""/openapi.json, /asyncapi.json and /docs: the generated API documents."""

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from processors.threads import in_thread
from web.api.ui import page_file
from web.http.routing import ALL_ROUTES, Routes
from web.services import services
from web.spec.asyncapi import asyncapi
from web.spec.openapi import openapi

routes = Routes("Operation")

_CACHED: web.AppKey[dict[str, bytes]] = web.AppKey("documents", dict)
#: One document at a time: it costs a second of CPU, and two threads that parse sources can fail (CPython 3.11,
#: "AST constructor recursion depth mismatch").
_MAKING: web.AppKey[asyncio.Lock] = web.AppKey("making-documents", asyncio.Lock)


def add_documents(app: web.Application) -> None:
    """Prepare the cache of the documents; each is generated at its first request."""
    app[_CACHED], app[_MAKING] = {}, asyncio.Lock()


@routes.get("/openapi.json", access="public", responses={200: dict[str, Any]}, etag=True)
async def show_openapi(request: web.Request) -> web.Response:
    """OpenAPI 3.1 document of every route."""
    return await _document(request, "openapi")


@routes.get("/asyncapi.json", access="public", responses={200: dict[str, Any]}, etag=True)
async def show_asyncapi(request: web.Request) -> web.Response:
    """AsyncAPI 3 document of the topics, their messages, and the live websocket."""
    return await _document(request, "asyncapi")


@routes.get("/docs", access="public", responses={200: "text/html"})
async def show_docs(request: web.Request) -> web.StreamResponse:
    """API documentation for people."""
    return await page_file(request, "docs.html")


async def _document(request: web.Request, name: str) -> web.Response:
    cached = request.app[_CACHED]
    async with request.app[_MAKING]:
        if name not in cached:
            cached[name] = await in_thread(_made, request, name)
    return web.Response(body=cached[name], content_type="application/json")


def _made(request: web.Request, name: str) -> bytes:
    made = openapi(request.app[ALL_ROUTES]) if name == "openapi" else asyncapi(services(request).settings)
    return msgspec.json.encode(made)

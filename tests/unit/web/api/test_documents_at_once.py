"""A hundred clients that open the documentation of a new process cost one document, and none gets an error."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from web.api import documents


async def test_a_document_is_generated_once_for_all_who_request_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(_request: web.Request, name: str) -> bytes:
        made.append(name)
        return b"{}"

    monkeypatch.setattr(documents, "_made", make)
    app = web.Application()
    documents.add_documents(app)
    for path in ("/openapi.json", "/asyncapi.json"):
        handler: Any = next(entry.handler for entry in documents.routes.entries if entry.path == path)
        app.router.add_get(path, handler)
    async with TestClient(TestServer(app)) as client:
        responses = await asyncio.gather(*(client.get(path) for path in ("/openapi.json", "/asyncapi.json") * 20))
    assert {response.status for response in responses} == {200}
    assert sorted(made) == ["asyncapi", "openapi"]

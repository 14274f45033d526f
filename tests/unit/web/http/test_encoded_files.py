"""The page comes compressed; a cache between never gives a client a form that it cannot read."""

import gzip
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import brotli
import pytest
import pytest_asyncio
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from web.http.encoded_files import encoded_file

Client = TestClient[web.Request, web.Application]

CONTENT = b"export const words = 'ask not';\n" * 500
_DECODE: dict[str | None, Callable[[bytes], bytes]] = {None: bytes, "gzip": gzip.decompress, "br": brotli.decompress}


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A server of the files of a folder: a script, a page, and a picture."""
    for name in ("app.js", "index.html", "poster.png"):
        (tmp_path / name).write_bytes(CONTENT)

    async def serve(request: web.Request) -> web.StreamResponse:
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": "default-src 'self'"}
        return await encoded_file(request, tmp_path / request.match_info["name"], headers)

    app = web.Application()
    app.router.add_get("/{name}", serve)
    async with TestClient(TestServer(app), auto_decompress=False) as found:
        yield found


async def get(client: Client, path: str, coding: str | None, **headers: str) -> tuple[ClientResponse, bytes]:
    """A response and its body as it was transferred."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.get(path, headers={"Accept-Encoding": coding or "identity", **named}) as response:
        return response, await response.read()


@pytest.mark.parametrize("path", ["/app.js", "/index.html"])
async def test_each_form_is_known_by_its_own_tag(client: Client, path: str) -> None:
    tags, kinds = set(), set()
    for coding in (None, "gzip", "br"):
        response, body = await get(client, path, coding)
        assert response.headers.get("Content-Encoding") == coding
        assert _DECODE[coding](body) == CONTENT
        assert (response.headers["Vary"], response.headers["Cache-Control"]) == ("Accept-Encoding", "no-cache")
        assert response.headers["Content-Security-Policy"]
        known, nothing = await get(client, path, coding, If_None_Match=response.headers["ETag"])
        assert (known.status, nothing) == (304, b"")
        assert known.headers["Vary"] == "Accept-Encoding"
        assert known.headers["ETag"] == response.headers["ETag"]
        tags.add(response.headers["ETag"])
        kinds.add(response.headers["Content-Type"])
    assert len(tags) == 3
    assert len(kinds) == 1


async def test_who_has_one_form_is_given_another_one_whole(client: Client) -> None:
    has, _ = await get(client, "/app.js", "br")
    response, body = await get(client, "/app.js", "gzip", If_None_Match=has.headers["ETag"])
    assert (response.status, gzip.decompress(body)) == (200, CONTENT)


async def test_a_file_that_was_replaced_is_sent_anew(client: Client, tmp_path: Path) -> None:
    has, _ = await get(client, "/app.js", "br")
    (tmp_path / "app.js").write_bytes(b"// other\n" * 500)
    os.utime(tmp_path / "app.js", (1, 1))
    response, body = await get(client, "/app.js", "br", If_None_Match=has.headers["ETag"])
    assert (response.status, brotli.decompress(body)) == (200, b"// other\n" * 500)


async def test_a_head_has_the_length_of_what_a_get_sends(client: Client) -> None:
    _, body = await get(client, "/app.js", "br")
    async with client.head("/app.js", headers={"Accept-Encoding": "br"}) as response:
        assert int(response.headers["Content-Length"]) == len(body) < len(CONTENT) / 20


async def test_a_part_is_of_the_file(client: Client) -> None:
    part, body = await get(client, "/app.js", "br", Range="bytes=0-5")
    assert (part.status, body, part.headers.get("Content-Encoding")) == (206, b"export", None)


async def test_a_picture_is_sent_as_it_is(client: Client) -> None:
    response, body = await get(client, "/poster.png", "br")
    assert (body, response.headers.get("Content-Encoding")) == (CONTENT, None)

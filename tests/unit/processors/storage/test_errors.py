"""Why a request to the store failed, as its operator reads it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from processors.storage.bucket_store import BucketStore
from processors.storage.errors import StoreError, reason
from streams.process.ports import free_port
from tests.bucket import environ
from tests.secured_broker import Authority

REFUSED = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>RequestTimeTooSkewed</Code><Message>The clocks differ.</Message><RequestId>1</RequestId></Error>"""


def upload_error(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What an upload to the server at `endpoint` fails with."""
    for name, value in environ(endpoint).items():
        monkeypatch.setenv(name, value)

    async def content() -> AsyncIterator[bytes]:
        yield b"a"

    async def upload() -> str:
        with pytest.raises(StoreError) as raised:
            await BucketStore("s3://media", retry_s=0.2).put("assets/a", content(), 10)
        return str(raised.value)

    return asyncio.run(upload())


def test_no_server_and_no_name_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "(Connection refused)" in upload_error(f"http://127.0.0.1:{free_port()}", monkeypatch)
    assert "lookup" in upload_error("http://nowhere.invalid", monkeypatch)


async def test_a_certificate_that_nobody_knows_is_named_and_can_be_made_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("server"))

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=403, text=REFUSED, content_type="application/xml")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=context)
    async with server:
        endpoint = str(server.make_url("/"))
        assert "the certificate is not trusted: " in await asyncio.to_thread(upload_error, endpoint, monkeypatch)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        answered = await asyncio.to_thread(upload_error, endpoint, monkeypatch)
    assert answered.endswith("403 Forbidden (RequestTimeTooSkewed: The clocks differ.)")


@pytest.mark.parametrize(
    "text, line",
    [
        ("A: 500: \n\nDebug source:\nGeneric {}", "A: 500"),
        (f"A: 403: {REFUSED}\n\nDebug source:\nB", "A: 403 (RequestTimeTooSkewed: The clocks differ.)"),
        ("A - 502: <html><h1>Bad gateway</h1>", "A - 502"),
        ('A\n\nDebug source:\nHttp { message: "Connection refused" }', "A (Connection refused)"),
        ("", ""),
    ],
)
def test_the_reason_is_one_line(text: str, line: str) -> None:
    assert reason(text) == line
    assert "\n" not in reason(text)

"""Bytes that no library sends: rejected with a 4xx, never an internal error."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.conftest import MakeSettings
from tests.integration.web.served import ADMIN, ENVIRON, Site, serve

_DEEP = b"[" * 100_000


@pytest.fixture
async def site(make_settings: MakeSettings) -> AsyncIterator[Site]:
    jwt = {"KINOLOG_AUTH__JWT__SECRET": "s" * 40, "KINOLOG_AUTH__JWT__ISSUER": "*", "KINOLOG_AUTH__JWT__AUDIENCE": "*"}
    nowhere = make_settings(**ENVIRON, **jwt, KINOLOG_KAFKA__BOOTSTRAP="127.0.0.1:1")
    async with serve(nowhere, ready=False) as found:
        yield found


_TUS = b"Tus-Resumable: 1.0.0\r\nUpload-Length: 5\r\n"
_JSON = b"Content-Type: application/json\r\n"


@pytest.mark.parametrize(
    "line, headers, body",
    [
        (b"GET /v1/jobs", b"Authorization: Bearer \xff\xfe.\xff.\xff\r\n", b""),
        (b"GET /v1/jobs", b"Authorization: Bearer " + b"W1tb" * 1000 + b".e30.x\r\n", b""),
        (b"GET /v1/jobs?cursor=" + b"W1tb" * 900, b"", b""),
        (b"GET /v1/jobs?after=" + b"W1tb" * 900, b"", b""),
        (b"GET /v1/jobs?q=%FF%ED%B3%BF%00&pipeline=%00", b"", b""),
        (b"GET /v1/live", b"Origin: http://[\r\n", b""),
        (b"GET /v1/live/sse", b"Origin: \xff\r\n", b""),
        (b"GET /v1/live/sse", b"Last-Event-ID: \xff\r\n", b""),
        (b"GET /v1/live/sse?ticket=" + b"%FF.%FF", b"", b""),
        (b"GET /media/s/1.%FF/%ED%B3%BF/%00", b"Range: bytes=\xff\r\n", b""),
        (b"GET /media/a/%FF", b"If-None-Match: \xff\r\nIf-Range: \xff\r\n", b""),
        (b"POST /v1/assets", _JSON, _DEEP),
        (b"POST /v1/assets", _JSON, b'{"input":{"url":"http://[:]"}}'),
        (b"POST /v1/assets", _JSON + b"Idempotency-Key: \xff\r\n", b'{"input":{"object":"a"}}'),
        (b"POST /v1/jobs/clear", _JSON, b'{"status":' + _DEEP),
        (b"POST /v1/uploads?filename=%FF%00", b"Idempotency-Key: \xff\xff\r\n", b"x"),
        (b"POST /v1/uploads/tus", _TUS + b"Upload-Metadata: filename \xff\r\n", b""),
        (b"POST /v1/uploads/tus", _TUS + b"Upload-Metadata: \xff YQ==\r\n", b""),
        (b"GET /v1/jobs", b"X-Forwarded-For: \xff\r\nX-Request-Id: \xff\r\nAccept-Encoding: \xff\r\n", b""),
    ],
)
async def test_they_are_refused(site: Site, line: bytes, headers: bytes, body: bytes) -> None:
    status = await _status(site, line, headers, body)
    # Where all is understood, the log that is not there is what is missing.
    assert 200 <= status < 500 or status == 503


async def _status(site: Site, line: bytes, headers: bytes, body: bytes) -> int:
    token = b"" if b"Authorization" in headers else f"Authorization: Bearer {ADMIN}\r\n".encode()
    framing = f"Host: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n".encode()
    assert site.server.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    try:
        writer.write(line + b" HTTP/1.1\r\n" + framing + token + headers + b"\r\n" + body)
        first = await asyncio.wait_for(reader.readline(), 20)
        return int(first.split()[1])
    finally:
        writer.close()

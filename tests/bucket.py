"""A bucket of one's own: a moto server, and a proxy before it that answers badly now and then."""

import asyncio
import contextlib
import datetime as dt
import io
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
from aiohttp import web
from moto.core.responses import ActionResult
from moto.s3 import responses
from moto.server import ThreadedMotoServer

BUCKET = "media"
_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_BROKEN = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
_HOP = frozenset({"connection", "content-length", "transfer-encoding", "content-encoding", "date", "server"})


class _Dated(ActionResult):
    """A response of moto with multipart uploads that began a minute ago.

    moto says in 2010: the sweep of a web process that starts then removes one that has just begun.
    """

    def __init__(self, result: Any) -> None:
        begun = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
        for upload in result.get("Uploads", ()) if isinstance(result, dict) else ():
            upload["Initiated"] = begun.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        super().__init__(result)


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """The URL of an empty S3 server."""
    setattr(responses, "ActionResult", _Dated)  # noqa: B010 - an import of theirs
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    # moto keeps its objects for as long as the process lives: those of earlier tests go first.
    with urllib.request.urlopen(f"http://{host}:{port}/moto-api/reset", data=b"") as response:
        assert response.status == 200
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


async def make_bucket(endpoint: str) -> None:
    async with aiohttp.ClientSession() as session, session.put(f"{endpoint}/{BUCKET}") as answer:
        assert answer.status == 200


async def configure(endpoint: str, subresource: str, xml: str) -> None:
    """Write a subresource of the bucket, as its owner does."""
    url = f"{endpoint}/{BUCKET}?{subresource}"
    async with aiohttp.ClientSession() as session, session.put(url, data=xml.encode()) as answer:
        assert answer.status == 200, await answer.text()


async def leaked_uploads(endpoint: str) -> int:
    """Multipart uploads that were begun and neither completed nor aborted."""
    async with aiohttp.ClientSession() as session, session.get(f"{endpoint}/{BUCKET}?uploads") as answer:
        found = ET.fromstring(await answer.text())
        return sum(element.tag.endswith("Upload") for element in found)


async def begin_multipart(endpoint: str, key: str) -> None:
    """What a process leaves that is killed in the middle of an upload."""
    async with aiohttp.ClientSession() as session, session.post(f"{endpoint}/{BUCKET}/{key}?uploads") as answer:
        assert answer.status == 200


def environ(endpoint: str) -> dict[str, str]:
    """The usual AWS variables."""
    return {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
    }


class Faults:
    """Stands before a server. Every so many requests: a 500, a 503 SlowDown, a long wait, a body that is cut off; 0 is
    never. `every` may be changed at any time.
    """

    def __init__(self, endpoint: str, *, broken: int = 9, slow_down: int = 7, slow: int = 13, cut: int = 5) -> None:
        self._endpoint = endpoint
        self.every = {"broken": broken, "slow_down": slow_down, "slow": slow, "cut": cut}
        self._bodies = 0
        #: Requests by method.
        self.asked: Counter[str] = Counter()
        #: Bodies that were read, by path.
        self.read: Counter[str] = Counter()
        #: What was done to whom.
        self.injected: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.method] += 1
        self.read[request.path] += request.method == "GET"
        fault = next(
            (name for name in ("broken", "slow_down", "slow") if self._is_turn(name, self.asked.total())), None
        )
        if fault:
            self.injected[fault] += 1
        if fault == "slow_down":
            return web.Response(status=503, body=_SLOW_DOWN, content_type="application/xml")
        if fault == "broken":
            return web.Response(status=500, body=_BROKEN, content_type="application/xml")
        if fault == "slow":
            await asyncio.sleep(0.3)
        return await self._forward(request)

    def _is_turn(self, name: str, count: int) -> bool:
        return self.every[name] > 0 and count % self.every[name] == 0

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
        url = f"{self._endpoint}{request.raw_path}"
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, _raw(url), headers=headers, data=io.BytesIO(body) if body else None
            ) as answer,
        ):
            content = await answer.read()
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            if request.method == "HEAD":
                kept["Content-Length"] = answer.headers.get("Content-Length", "0")
                return web.Response(status=answer.status, headers=kept)
            if request.method == "GET" and "list-type" not in request.query and len(content) > 1000:
                self._bodies += 1
                if self._is_turn("cut", self._bodies):
                    return await self._cut_off(request, answer.status, kept, content)
            return web.Response(status=answer.status, headers=kept, body=content)

    async def _cut_off(
        self, request: web.Request, status: int, headers: dict[str, str], content: bytes
    ) -> web.StreamResponse:
        self.injected["cut"] += 1
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(content)
        await response.prepare(request)
        await response.write(content[: len(content) // 2])
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.abort()
        return response


def _raw(url: str) -> Any:
    from yarl import URL

    return URL(url, encoded=True)


@contextlib.asynccontextmanager
async def faulty(endpoint: str, **every: int) -> AsyncIterator[tuple[str, Faults]]:
    """Address of the proxy, and the proxy."""
    faults = Faults(endpoint, **every)
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", faults.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}", faults
    await runner.cleanup()

"""Behind nginx as it is installed: HTTP/1.0 towards the service, a Host header of its own, and a path prefix."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from playwright.async_api import Page, expect

from streams.process.ports import free_port
from tests.browser import browser, browser_page, complaints
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, log, make
from tests.integration.web.served import ADMIN, Site, serve

__all__ = ["browser", "browser_page", "complaints", "log", "make"]  # fixtures are found by their name in this module

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What is not said is nginx's default. Only the websocket, which it cannot do otherwise, is HTTP/1.1.
_CONFIG = """
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_max_body_size 100m;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  server {{
    listen 127.0.0.1:{port};
    location = /kino/v1/live {{
      proxy_pass http://127.0.0.1:{backend}/v1/live;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
    }}
    location /kino/ {{ proxy_pass http://127.0.0.1:{backend}/; }}
  }}
}}
"""


class Proxied(NamedTuple):
    """A replica behind nginx."""

    site: Site
    #: Without a slash at the end.
    url: str


@asynccontextmanager
async def nginx(folder: Path, port: int, backend: int) -> AsyncIterator[None]:
    (folder / "nginx.conf").write_text(_CONFIG.format(port=port, backend=backend))
    running = await asyncio.create_subprocess_exec("nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "stderr")
    try:

        async def listens() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.close()
            return True

        assert await eventually(listens, 30)
        yield
    finally:
        running.terminate()
        await running.wait()


@pytest_asyncio.fixture(loop_scope="module")
async def control(make: Make) -> AsyncIterator[ControlStandIn]:
    async with ControlStandIn(make()) as stand_in:
        yield stand_in


@pytest_asyncio.fixture(loop_scope="module")
async def proxied(make: Make, control: ControlStandIn, tmp_path: Path) -> AsyncIterator[Proxied]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/kino"
    async with serve(make(KINOLOG_WEB__PUBLIC_URL=url)) as site:
        assert site.server.port is not None
        async with nginx(tmp_path, port, site.server.port):
            yield Proxied(site, url)


@pytest_asyncio.fixture(loop_scope="module")
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession(headers={"Authorization": f"Bearer {ADMIN}"}) as found:
        yield found


async def test_a_resumable_upload_stays_below_the_prefix(
    proxied: Proxied, session: ClientSession, control: ControlStandIn
) -> None:
    metadata = f"pipeline {base64.b64encode(b'noop').decode()}"
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "10", "Upload-Metadata": metadata}
    async with session.post(f"{proxied.url}/v1/uploads/tus", headers=headers) as reply:
        location, job_id = reply.headers["Location"], reply.headers["Kinolog-Job-Id"]
    assert location.startswith(f"{proxied.url}/v1/uploads/tus/")
    part = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    async with session.patch(location, headers=part, data=b"0123456789") as reply:
        assert (reply.status, reply.headers["Upload-Offset"]) == (204, "10")
    await eventually(lambda: job_id in control.jobs, 60)


async def test_what_is_streamed_comes_over_http_1_0(proxied: Proxied, session: ClientSession) -> None:
    body: dict[str, Any] = {"input": {"object": "a"}, "pipeline": "noop"}
    async with session.post(f"{proxied.url}/v1/assets", json=body) as reply:
        job_id = (await reply.json())["data"]["job_id"]

    async def is_listed() -> bool:
        async with session.get(f"{proxied.url}/v1/jobs/export?format=csv") as export:
            assert export.status == 200
            return job_id in await export.text()

    assert await eventually(is_listed, 60)
    async with session.get(f"{proxied.url}/v1/live/sse?subscribe=job:{job_id}") as events:
        line = await anext(line async for line in events.content if line.startswith(b"data: "))
        assert json.loads(line[6:])["jobs"][0]["id"] == job_id, "the proxy kept it back"


async def test_urls_of_an_asset_lead_through_the_proxy(proxied: Proxied, session: ClientSession) -> None:
    async with session.post(f"{proxied.url}/v1/uploads?pipeline=noop", data=b"bytes") as reply:
        asset_id = (await reply.json())["data"]["asset_id"]
    path = proxied.site.parts.settings.data_path / "store" / "assets" / asset_id / "probe" / "1-a" / "a.m3u8"
    path.parent.mkdir(parents=True)
    path.write_text("#EXTM3U\n")
    async with session.post(f"{proxied.url}/v1/assets/{asset_id}/playback") as reply:
        base = (await reply.json())["data"]["base_url"]
    async with ClientSession() as player, player.get(f"{base}probe/1-a/a.m3u8") as playlist:
        assert (playlist.status, await playlist.text()) == (200, "#EXTM3U\n")


async def test_the_page_works_below_the_prefix(proxied: Proxied, session: ClientSession, browser_page: Page) -> None:
    async with session.post(f"{proxied.url}/v1/uploads?pipeline=noop&filename=behind.mp4", data=b"bytes") as reply:
        assert reply.status == 201
    await browser_page.goto(f"{proxied.url}/#token={ADMIN}")
    await browser_page.get_by_text("Live", exact=True).wait_for()
    await expect(browser_page.locator(".job").filter(has_text="behind.mp4")).to_be_visible()
    await browser_page.goto(f"{proxied.url}/docs")
    await expect(browser_page.get_by_text("/v1/jobs/export").first).to_be_visible()

"""Middleware of a replica without a log: limits, ETags, compression, CORS, headers."""

import gzip
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import brotli
import pytest
from aiohttp import ClientResponse, ClientSession, DummyCookieJar

from streams.supervisor import run_dir
from streams.supervisor.restarts import ExitHistory
from tests.conftest import MakeSettings
from tests.integration.web.served import ADMIN, ENVIRON, Site, serve

#: Nobody listens there.
NOWHERE = {"KINOLOG_KAFKA__BOOTSTRAP": "127.0.0.1:1"}
APP = "https://app.example"


@pytest.fixture
async def site(make_settings: MakeSettings) -> AsyncIterator[Site]:
    settings = make_settings(**ENVIRON, **NOWHERE, KINOLOG_WEB__CORS_ORIGINS=json.dumps([APP]))
    async with serve(settings, ready=False) as found:
        yield found


async def asked(site: Site, method: str, path: str, **options: Any) -> tuple[ClientResponse, bytes]:
    """The response and its body, still encoded."""
    async with (
        ClientSession(
            auto_decompress=False, cookie_jar=DummyCookieJar(), skip_auto_headers=["Accept-Encoding"]
        ) as session,
        session.request(method, site.server.make_url(path), **options) as answer,
    ):
        return answer, await answer.read()


async def test_a_document_that_the_client_has_is_not_sent_again(site: Site) -> None:
    first, body = await asked(site, "GET", "/openapi.json")
    again, nothing = await asked(site, "GET", "/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, nothing, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    other, whole = await asked(site, "GET", "/openapi.json", headers={"If-None-Match": 'W/"something else"'})
    assert (other.status, len(whole)) == (200, len(body))


@pytest.mark.parametrize("coding", ["br", "gzip"])
async def test_json_is_compressed_for_who_takes_it(site: Site, coding: str) -> None:
    plain = (await asked(site, "GET", "/openapi.json", headers={"Accept-Encoding": "identity"}))[1]
    answer, body = await asked(site, "GET", "/openapi.json", headers={"Accept-Encoding": coding})
    assert answer.headers["Content-Encoding"] == coding
    assert len(body) < len(plain) / 4
    assert (brotli.decompress(body) if coding == "br" else gzip.decompress(body)) == plain
    assert "Accept-Encoding" in ",".join(answer.headers.getall("Vary"))


async def test_a_page_of_an_allowed_site_may_call_and_no_other(site: Site) -> None:
    wanted = {"Origin": APP, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    answer, _ = await asked(site, "OPTIONS", "/v1/assets", headers=wanted)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, APP)
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    answer, _ = await asked(site, "GET", "/v1/jobs", headers={"Origin": APP})
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (401, APP)
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
    for method in ("OPTIONS", "GET"):
        answer, _ = await asked(site, method, "/v1/jobs", headers=wanted | {"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("size, status", [(1_000, 200), (40_000, 431), (100_000, 431)])
async def test_headers_that_are_too_large_are_said_to_be(site: Site, size: int, status: int) -> None:
    answer, body = await asked(site, "GET", "/healthz", headers={"X-Large": "x" * size})
    assert answer.status == status
    if status == 431:
        assert json.loads(body)["code"] == "headers-too-large"


async def test_a_body_that_is_too_large_is_refused_unread(site: Site) -> None:
    async def spaces(pieces: int) -> AsyncIterator[bytes]:
        for _ in range(pieces):
            yield b" " * 65_536

    headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"}
    announced = headers | {"Content-Length": str(50 * 1024**2)}
    answer, body = await asked(site, "POST", "/v1/assets", headers=announced, data=spaces(800))
    assert (answer.status, json.loads(body)["code"]) == (413, "body-too-large")
    assert answer.headers["Connection"] == "close"
    answer, body = await asked(site, "POST", "/v1/assets", headers=headers, data=spaces(80))
    assert (answer.status, json.loads(body)["code"]) == (413, "body-too-large")


async def test_a_compressed_body_is_refused_unread(site: Site) -> None:
    headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer, body = await asked(site, "POST", "/v1/assets", headers=headers, data=gzip.compress(b"{}"))
    assert (answer.status, json.loads(body)["code"]) == (415, "unsupported-content-encoding")
    assert answer.headers["Accept-Encoding"] == "identity"
    answer, body = await asked(
        site, "POST", "/v1/assets", headers=headers | {"Content-Encoding": "identity"}, data=b"{}"
    )
    assert (answer.status, json.loads(body)["code"]) == (422, "invalid-body")


async def test_a_problem_says_its_code_where_that_is_explained_and_which_request_it_was(site: Site) -> None:
    answer, body = await asked(site, "GET", "/v1/jobs", headers={"X-Request-Id": "my-id"})
    problem = json.loads(body)
    assert answer.content_type == "application/problem+json"
    assert answer.headers["X-Request-Id"] == problem["request_id"] == "my-id"
    assert (problem["status"], problem["code"], problem["docs"]) == (401, "unauthorized", "/docs#unauthorized")
    document = json.loads((await asked(site, "GET", "/openapi.json"))[1])
    assert problem["code"] in document["x-problems"]


@pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/v1/jobs", "/nothing"])
async def test_every_answer_keeps_browsers_from_doing_more_than_they_must(site: Site, path: str) -> None:
    answer, _ = await asked(site, "GET", path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_the_figures_are_prometheus_text(site: Site) -> None:
    await asked(site, "GET", "/v1/jobs")
    settings = site.parts.settings
    run_dir.run_dir(settings).mkdir()
    run_dir.write_ends(settings, {"control": ExitHistory(9, 4, "exited with code 77", time.time())})
    answer, body = await asked(site, "GET", "/metrics")
    assert answer.content_type == "text/plain"
    lines = body.decode().splitlines()
    assert 'kinolog_http_requests_total{method="GET",route="/v1/jobs",status="401"} 1.0' in lines
    assert 'kinolog_http_problems_total{code="unauthorized"} 1.0' in lines
    assert "kinolog_ready 0.0" in lines
    assert 'kinolog_part_crash_loop{part="control"} 1.0' in lines


async def test_without_a_log_reading_goes_on_and_writing_says_why_not(site: Site) -> None:
    status, problem = await site.ask("POST", "/v1/assets", json={"input": {"object": "a/b"}})
    assert (status, problem["code"]) == (503, "broker-unavailable")
    assert (await site.ask("GET", "/v1/jobs", "tok_000000000000000000000000.x"))[0] == 503
    assert (await site.ask("POST", "/v1/tokens", json={"role": "admin"}))[0] == 503

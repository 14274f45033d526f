"""Without authentication every caller is admin: pages of other sites in the user's browser must not reach any route."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import WSServerHandshakeError

from streams.settings import SettingsError
from tests.conftest import MakeSettings
from tests.integration.web.auth.route_requests import plain_request
from tests.integration.web.served import Site, serve
from web.app import make_app
from web.http.routing import Route
from web.route_list import ROUTES

APP = "http://localhost:3000"
OPEN = {
    "KINOLOG_AUTH__ENABLED": "false",
    "KINOLOG_KAFKA__BOOTSTRAP": "127.0.0.1:1",
    "KINOLOG_WEB__CORS_ORIGINS": json.dumps([APP]),
    "KINOLOG_WEB__PUBLIC_URL": "https://media.example",
    "KINOLOG_WEB__ALLOWED_HOSTS": json.dumps(["media.local"]),
}
ALL_ROUTES = [route for listed in ROUTES for route in listed.entries]
#: Requests that a page of another site can cause without a preflight, and those of a page that has rebound its name.
FOREIGN = {
    "a fetch": {"Origin": "https://evil.example"},
    "a form": {"Origin": "https://evil.example", "Content-Type": "text/plain"},
    "a frame without origin": {"Origin": "null"},
    "a malformed origin": {"Origin": "http://["},
    "a page at another port": {"Origin": "http://127.0.0.1:1"},
    "a picture": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "a sibling's picture": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    "a rebound name": {"Host": "evil.example:8080", "Origin": "http://evil.example:8080"},
    "a rebound name, reading": {"Host": "evil.example"},
    "a look-alike": {"Host": "127.0.0.1.evil.example"},
    "no name": {"Host": ""},
}


@pytest.fixture
async def site(make_settings: MakeSettings) -> AsyncIterator[Site]:
    async with serve(make_settings(**OPEN), ready=False) as found:
        yield found


async def _code(site: Site, route: Route, headers: dict[str, str]) -> str:
    request = plain_request(route)
    options = {**request.options, "headers": {**request.options["headers"], **headers}}
    status, body = await site.ask(request.method, request.path, None, **options)
    code = body.get("code") if isinstance(body, dict) else None
    return f"{status} {code}" if request.method != "HEAD" else str(status)


@pytest.mark.parametrize("kind", FOREIGN)
async def test_a_page_of_another_site_reaches_no_route(site: Site, kind: str) -> None:
    reached = {}
    for route in ALL_ROUTES:
        seen = await _code(site, route, FOREIGN[kind])
        if seen not in ("403 foreign-origin", "421 foreign-host", "403", "421"):
            reached[f"{route.method} {route.path}"] = seen
    assert reached == {}


async def test_a_page_of_another_site_opens_no_websocket(site: Site) -> None:
    for headers in (FOREIGN["a fetch"], FOREIGN["a rebound name"]):
        with pytest.raises(WSServerHandshakeError) as refused:
            await site.session.ws_connect(site.server.make_url("/v1/live"), headers=headers)
        assert refused.value.status in (403, 421)


async def test_the_own_page_allowed_pages_and_programs_reach_it(site: Site) -> None:
    port = site.server.port
    for headers in (
        {},
        {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"},
        {"Origin": APP, "Sec-Fetch-Site": "same-site"},
        {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"},
        {"Host": f"[::1]:{port}"},
        {"Host": "media.local", "Origin": "https://media.local"},
        {"Host": f"127.0.0.1:{port}", "Origin": "https://media.example"},  # behind a proxy on this machine
    ):
        status, _ = await site.ask("GET", "/v1/tokens", None, headers=headers)
        assert status == 200, headers


async def test_a_link_on_another_site_opens_the_page(site: Site) -> None:
    clicked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await site.ask("GET", "/", None, headers=clicked))[0] == 200
    assert (await site.ask("GET", "/v1/jobs", None, headers=clicked))[0] == 403


async def test_a_body_that_does_not_say_it_is_json_is_not_read_as_json(site: Site) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/octet-stream"):
        body = b'{"role": "admin"}'
        status, _ = await site.ask("POST", "/v1/tokens", None, data=body, headers={"Content-Type": kind})
        assert status == 415, kind


@pytest.mark.parametrize(
    "changed, name",
    [
        ({"KINOLOG_WEB__HOST": "0.0.0.0"}, "KINOLOG_WEB__HOST"),
        ({"KINOLOG_WEB__HOST": "::"}, "KINOLOG_WEB__HOST"),
        ({"KINOLOG_WEB__HOST": "192.168.1.7"}, "KINOLOG_WEB__HOST"),
        ({"KINOLOG_WEB__HOST": "media.example.org"}, "KINOLOG_WEB__HOST"),
        ({"KINOLOG_WEB__CORS_ORIGINS": '["*"]'}, "KINOLOG_WEB__CORS_ORIGINS"),
    ],
)
def test_without_authentication_it_is_not_served_to_others(
    make_settings: MakeSettings, changed: dict[str, str], name: str
) -> None:
    with pytest.raises(SettingsError, match=name):
        make_app(make_settings(**OPEN | changed))

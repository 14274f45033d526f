"""Authorization of two owners and three roles on every route and both live channels."""

import hashlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make
from tests.integration.web.served import ADMIN, Site, serve
from web.http.routing import Route
from web.route_list import ROUTES

__all__ = ["control", "log", "make"]  # fixtures are found by their name in this module

BY_NAME = {f"{route.method} {route.path}": route for listed in ROUTES for route in listed.entries}
WHO = {
    "nobody": None,
    "a wrong token": "guess",
    "anna, viewer": "anna-views",
    "anna, editor": "anna-edits",
    "bert, viewer": "bert-views",
    "bert, editor": "bert-edits",
    "admin": ADMIN,
}
_RANK = {"viewer": 1, "editor": 2, "admin": 3}


class Ask(NamedTuple):
    """A request about things that are anna's."""

    path: str
    #: What anna's editor gets, or the admin where the route is the admin's; (409, …): refused for its state.
    right: int
    #: Whether it names something of anna's: to bert that does not exist.
    is_annas: bool = False
    body: Any = None
    data: bytes | None = None


OBJECT = {"input": {"object": "media/clip.mp4"}, "pipeline": "noop"}
STUDIO = "/api/v1/studio/processing-jobs"
#: One request of each route. `{job}`: anna's failed job, `{running}`: her waiting one.
ASKS: dict[str, Ask] = {
    "POST /v1/uploads": Ask("/v1/uploads?pipeline=noop", 201, data=b"bytes"),
    "POST /v1/assets": Ask("/v1/assets", 202, body=OBJECT),
    "GET /v1/assets": Ask("/v1/assets", 200),
    "GET /v1/assets/{asset_id}": Ask("/v1/assets/{asset}", 200, True),
    "DELETE /v1/assets/{asset_id}": Ask("/v1/assets/{asset}", 409, True),
    "POST /v1/assets/{asset_id}/playback": Ask("/v1/assets/{asset}/playback", 200, True, body={}),
    "GET /v1/jobs": Ask("/v1/jobs?limit=500", 200),
    "GET /v1/jobs/export": Ask("/v1/jobs/export?format=json", 200),
    "GET /v1/jobs/counts": Ask("/v1/jobs/counts", 200),
    "GET /v1/jobs/failures": Ask("/v1/jobs/failures", 200),
    "POST /v1/jobs/cancel": Ask("/v1/jobs/cancel", 202, body={"q": "no such job"}),
    "GET /v1/me": Ask("/v1/me", 200),
    "GET /v1/pipelines": Ask("/v1/pipelines", 200),
    "GET /v1/stats/steps": Ask("/v1/stats/steps", 200),
    "GET /v1/stats/system": Ask("/v1/stats/system", 200),
    "GET /v1/dead-letters": Ask("/v1/dead-letters", 200),
    "GET /v1/audit": Ask("/v1/audit?limit=5", 200),
    "GET /v1/jobs/{job_id}": Ask("/v1/jobs/{running}", 200, True),
    "GET /v1/jobs/{job_id}/events": Ask("/v1/jobs/{running}/events", 200, True),
    "POST /v1/jobs/{job_id}/cancel": Ask("/v1/jobs/{job}/cancel", 409, True),
    "POST /v1/jobs/{job_id}/retry": Ask("/v1/jobs/{running}/retry", 409, True),
    "DELETE /v1/jobs/{job_id}": Ask("/v1/jobs/{running}", 409, True),
    "POST /v1/jobs/clear": Ask("/v1/jobs/clear", 202, body={"status": "completed"}),
    "POST /v1/jobs/retry": Ask("/v1/jobs/retry", 202, body={"status": "failed", "q": "no such job"}),
    "GET /v1/search": Ask("/v1/search?q=country", 200),
    "POST /v1/uploads/presign": Ask("/v1/uploads/presign", 409, body={"filename": "a.mp4"}),
    "OPTIONS /v1/uploads/tus": Ask("/v1/uploads/tus", 204),
    "POST /v1/uploads/tus": Ask("/v1/uploads/tus", 412),
    "POST /v1/uploads/tus/{upload_id}": Ask("/v1/uploads/tus/none", 405),
    "HEAD /v1/uploads/tus/{upload_id}": Ask("/v1/uploads/tus/none", 412),
    "PATCH /v1/uploads/tus/{upload_id}": Ask("/v1/uploads/tus/none", 412),
    "DELETE /v1/uploads/tus/{upload_id}": Ask("/v1/uploads/tus/none", 412),
    "POST /v1/cache-assets": Ask("/v1/cache-assets", 202, body={"url": "http://media.example/a.mp4"}),
    "GET /v1/cache-assets": Ask("/v1/cache-assets", 200),
    "GET /v1/cache-assets/stats": Ask("/v1/cache-assets/stats", 200),
    "GET /v1/cache-assets/{asset_id}": Ask("/v1/cache-assets/asset_none", 404),
    "POST /v1/cache-assets/resolve": Ask("/v1/cache-assets/resolve", 200, body={"ids": []}),
    "POST /v1/cache-assets/retry-failed": Ask("/v1/cache-assets/retry-failed", 202, body={}),
    "POST /v1/cache-assets/cleanup": Ask("/v1/cache-assets/cleanup", 202, body={"older_than_days": 30}),
    "POST /v1/store/gc": Ask("/v1/store/gc", 200, body={}),
    "GET /v1/stats": Ask("/v1/stats", 200),
    "GET /v1/queues": Ask("/v1/queues", 200),
    "GET /v1/executors": Ask("/v1/executors", 200),
    "PATCH /v1/queues/{step}": Ask("/v1/queues/noop", 202, body={"max_active": 2}),
    "POST /v1/queues/{step}/pause": Ask("/v1/queues/noop/pause", 202),
    "POST /v1/queues/{step}/resume": Ask("/v1/queues/noop/resume", 202),
    "GET /media/{asset_id}/{path:.+}": Ask("/media/{asset}/probe/1-a/file.txt", 200, True),
    "GET /media/s/{grant}/{asset_id}/{path:.+}": Ask("{signed}probe/1-a/file.txt", 200),
    "GET /media/o/{grant}/{path:.+}": Ask("/media/o/1.none/uploads/x/source", 403),
    "GET /v1/keys": Ask("/v1/keys", 200),
    "POST /v1/keys": Ask("/v1/keys", 201),
    "DELETE /v1/keys/{key_id}": Ask("/v1/keys/key_none", 404),
    "POST /v1/tokens": Ask("/v1/tokens", 201, body={"role": "viewer", "owner": "zoe"}),
    "GET /v1/tokens": Ask("/v1/tokens", 200),
    "DELETE /v1/tokens/{token_id}": Ask("/v1/tokens/tok_none", 404),
    "POST /v1/live/tickets": Ask("/v1/live/tickets", 201),
    "GET /healthz": Ask("/healthz", 200),
    "GET /readyz": Ask("/readyz", 200),
    "GET /metrics": Ask("/metrics", 200),
    "GET /openapi.json": Ask("/openapi.json", 200),
    "GET /asyncapi.json": Ask("/asyncapi.json", 200),
    "GET /docs": Ask("/docs", 200),
    "GET /": Ask("/", 200),
    "GET /favicon.ico": Ask("/favicon.ico", 204),
    "GET /static/{path:.+}": Ask("/static/app.js", 200),
    "GET /api/admin/media/jobs": Ask("/api/admin/media/jobs?mediaId={asset}", 200, True),
    f"GET {STUDIO}": Ask(STUDIO, 200),
    f"GET {STUDIO}/{{job_id}}": Ask(f"{STUDIO}/{{running}}", 200, True),
    f"POST {STUDIO}/{{job_id}}/cancel": Ask(f"{STUDIO}/{{job}}/cancel", 409, True),
    f"POST {STUDIO}/{{job_id}}/retry": Ask(f"{STUDIO}/{{running}}/retry", 409, True),
    f"DELETE {STUDIO}/{{job_id}}": Ask(f"{STUDIO}/{{running}}", 409, True),
    f"POST {STUDIO}/clear": Ask(f"{STUDIO}/clear", 202, body={"status": "completed"}),
    "POST /api/video-processing/upload": Ask("/api/video-processing/upload", 202, body={"attachment_id": "{unique}"}),
    "GET /api/video-processing/status/{job_id}": Ask("/api/video-processing/status/{running}", 200, True),
    "DELETE /api/video-processing/status/{job_id}": Ask("/api/video-processing/status/{cancelling}", 409, True),
    "GET /api/video-processing/queue": Ask("/api/video-processing/queue", 200),
    "POST /api/video-processing/steps/{step}": Ask(
        "/api/video-processing/steps/compress", 401, body={"attachment_id": 1}
    ),
    "GET /api/jobs/{job_id}/status": Ask("/api/jobs/{running}/status", 200, True),
}
LIVE = ("GET /v1/live", "GET /v1/live/sse")


@pytest.fixture
async def site(make: Make, control: ControlStandIn) -> AsyncIterator[Site]:
    tokens = [
        {"token": f"{owner}-{verb}", "owner": owner, "role": role}
        for owner in ("anna", "bert")
        for verb, role in (("edits", "editor"), ("views", "viewer"))
    ]
    async with serve(make(KINOLOG_AUTH__TOKENS=json.dumps(tokens), KINOLOG_AUTH__FAILURES="10000")) as found:
        yield found


async def annas(site: Site, control: ControlStandIn) -> dict[str, str]:
    """What is anna's: an asset with a file, a job that has failed, one that waits and one that is being cancelled."""

    async def submit(**fields: str) -> dict[str, Any]:
        _, body = await site.ask("POST", "/v1/assets", "anna-edits", json=OBJECT | fields)
        await eventually(lambda: body["data"]["job_id"] in control.jobs)
        await site.ask("GET", f"/v1/jobs/{body['data']['job_id']}?after={body['cursor']}", "anna-edits")
        return dict(body["data"])

    first = await submit()
    await control.change(first["job_id"], status="failed", finished_at=time.time())
    second, third = await submit(asset_id=first["asset_id"]), await submit(asset_id=first["asset_id"])
    await control.change(third["job_id"], status="active", cancelling=True)
    path = site.parts.settings.data_path / "store" / "assets" / first["asset_id"] / "probe" / "1-a" / "file.txt"
    path.parent.mkdir(parents=True)
    path.write_text("anna's")
    found = {"asset": first["asset_id"], "job": first["job_id"]}
    found |= {"running": second["job_id"], "cancelling": third["job_id"]}

    async def shown() -> bool:
        return await _shows(site, found)

    is_shown: bool = await eventually(shown)
    assert is_shown
    signed = await site.ask("POST", f"/v1/assets/{first['asset_id']}/playback", "anna-edits", json={})
    return found | {"signed": signed[1]["data"]["base_url"]}


async def _shows(site: Site, ids: dict[str, str]) -> bool:
    _, failed = await site.ask("GET", f"/v1/jobs/{ids['job']}")
    _, cancelling = await site.ask("GET", f"/v1/jobs/{ids['cancelling']}")
    return failed["data"]["status"] == "failed" and "cancelling" in cancelling["data"]


def expected(route: Route, ask: Ask, who: str) -> int:
    """The status that `who` must get."""
    if route.public:
        return ask.right
    if WHO[who] in (None, "guess"):
        return 401
    role = who.rpartition(" ")[2]
    if _RANK[role] < _RANK.get(route.access, 0):
        return 403
    return 404 if ask.is_annas and who.startswith("bert") else ask.right


def test_every_route_is_asked() -> None:
    assert BY_NAME.keys() == {*ASKS, *LIVE}


async def test_everybody_gets_what_is_theirs_and_nothing_else(site: Site, control: ControlStandIn) -> None:
    ids = await annas(site, control)
    wrong: list[str] = []
    for name, ask in ASKS.items():
        for who, token in WHO.items():
            unique = hashlib.sha256(f"{name}{who}".encode()).hexdigest()[:8]
            path = ask.path
            for word, value in ids.items():
                path = path.replace(f"{{{word}}}", value)
            body = json.loads(json.dumps(ask.body).replace("{unique}", unique)) if ask.body is not None else None
            options = {"json": body} if body is not None else {"data": ask.data}
            status, answer = await site.ask(BY_NAME[name].method, path, token, **options)
            if status != expected(BY_NAME[name], ask, who):
                wrong.append(f"{name}, {who}: {status}, not {expected(BY_NAME[name], ask, who)}: {answer}"[:300])
            told = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            is_hers = who.startswith("anna") or who == "admin" or BY_NAME[name].public
            if not is_hers and any(ids[word].encode() in told for word in ("asset", "job", "running")):
                wrong.append(f"{name}, {who}: was told of what is anna's")
    assert wrong == []


@pytest.mark.parametrize("path", ["/v1/live", "/v1/live/sse"])
async def test_live_tells_everybody_what_is_theirs_and_nothing_else(
    site: Site, control: ControlStandIn, path: str
) -> None:
    ids = await annas(site, control)
    named = {"all": 200, f"job:{ids['running']}": 404, f"asset:{ids['asset']}": 404}
    named |= {"queue:noop": 200, "owner:anna": 403}
    for who, token in WHO.items():
        for subscribe, to_bert in named.items():
            url = f"{path}?subscribe={subscribe}"
            status, told = await site.first_frame(url, token)
            wanted = 401 if token in (None, "guess") else to_bert if who.startswith("bert") else 200
            assert status == wanted, (who, subscribe)
            if status == 200:
                assert (ids["running"] in told) is not who.startswith("bert"), (who, subscribe)

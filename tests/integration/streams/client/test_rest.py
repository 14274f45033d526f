"""The client against a real HTTP server that answers as kinolog does, breaks off, and refuses."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.client import Client, Conflict, LiveFrame, NotFound, Rejected, Unauthorized, Unreachable

TOKEN = "t0ken"


def job(status: str = "active", progress: float = 0.0) -> dict[str, Any]:
    step = {"name": "transcode", "status": status, "progress": progress}
    return {"id": "job_1", "status": status, "progress": progress, "steps": [step]}


def problem(status: int, code: str, detail: str) -> web.Response:
    body = {"title": "No", "status": status, "code": code, "detail": detail}
    return web.json_response(body, status=status, content_type="application/problem+json")


class Service:
    """A server whose live connections play prepared frames, one list per connection; then the connection is cut."""

    def __init__(self) -> None:
        self.lives: list[list[LiveFrame]] = []
        self.asked: list[web.Request] = []
        self.uploaded = b""
        self.app = web.Application(middlewares=[self.check], client_max_size=16_000_000)
        self.app.router.add_post("/v1/uploads", self.upload)
        self.app.router.add_get("/v1/jobs/{id}", self.job)
        self.app.router.add_post("/v1/jobs/{id}/cancel", self.cancel)
        self.app.router.add_get("/v1/live", self.live)
        self.app.router.add_get("/v1/jobs", self.proxy_page)

    @web.middleware
    async def check(self, request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
        self.asked.append(request)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return problem(401, "unauthorized", "a token is needed")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def upload(self, request: web.Request) -> web.Response:
        if (request.content_length or 0) > 8_000_000:
            return problem(413, "too-large", "at most 8 MB")
        self.uploaded = await request.read()
        return web.json_response({"data": {"asset_id": "asset_1", "job_id": "job_1"}, "cursor": "c1"}, status=201)

    async def job(self, request: web.Request) -> web.Response:
        if request.match_info["id"] != "job_1":
            return problem(404, "not-found", "there is no such job")
        return web.json_response({"data": job("waiting")})

    async def cancel(self, _: web.Request) -> web.Response:
        return problem(409, "already-ended", "the job has ended")

    async def proxy_page(self, _: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>Bad gateway</html>")

    async def live(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for frame in self.lives.pop(0):
            await socket.send_json(frame)
        await socket.close()
        return socket


@pytest.fixture
async def service() -> Service:
    return Service()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with TestServer(service.app) as server, Client(str(server.make_url("/")), TOKEN) as made:
        yield made


async def test_a_file_arrives_whole_with_its_name_and_is_announced_with_its_size(
    client: Client, service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "my talk & more.mp4"
    path.write_bytes(bytes(range(256)) * 12_000)
    sent: list[int] = []
    submitted = await client.submit_file(path, pipeline="standard", idempotency_key="k1", on_sent=sent.append)
    (request,) = service.asked
    assert service.uploaded == path.read_bytes()
    assert dict(request.query) == {"filename": path.name, "pipeline": "standard"}
    assert request.content_length == path.stat().st_size == sent[-1]
    assert request.headers["Idempotency-Key"] == "k1"
    assert submitted == ("asset_1", "job_1", "c1")


async def test_a_file_beyond_the_limit_is_told_so_and_not_that_the_connection_broke(
    client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "huge.mp4"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    with pytest.raises(Rejected) as refused:
        await client.submit_file(path)
    assert (refused.value.status, refused.value.code) == (413, "too-large")


async def test_every_refusal_has_its_type_code_and_sentence(client: Client) -> None:
    with pytest.raises(NotFound, match=r"there is no such job \(not-found\)"):
        await client.job("job_2")
    with pytest.raises(Conflict) as refused:
        await client.cancel("job_1")
    assert (refused.value.code, refused.value.exit_code) == ("already-ended", 2)


async def test_a_wrong_token_is_said_on_rest_and_live(service: Service) -> None:
    async with TestServer(service.app) as server, Client(str(server.make_url("/")), "wrong") as client:
        with pytest.raises(Unauthorized):
            await client.job("job_1")
        with pytest.raises(Unauthorized):
            await anext(client.live())


async def test_a_proxy_that_answers_for_a_dead_service_counts_as_unreachable(client: Client) -> None:
    with pytest.raises(Rejected) as refused:
        await client.jobs()
    assert refused.value.exit_code == 3


async def test_a_job_is_followed_over_lost_connections_from_where_they_broke(client: Client, service: Service) -> None:
    service.lives = [
        [{"type": "snapshot", "cursor": "c2", "jobs": [job("active")]}],
        [
            {"type": "progress", "job_id": "job_1", "step": "transcode", "progress": 40.0, "job_progress": 20.0},
            {"type": "job", "cursor": "c3", "job": job("active", 50.0)},
        ],
        [{"type": "job", "cursor": "c4", "job": job("completed", 100.0)}],
    ]
    seen = [(state["status"], state["progress"]) async for state in client.follow("job_1")]
    assert seen == [("waiting", 0.0), ("active", 0.0), ("active", 20.0), ("active", 50.0), ("completed", 100.0)]
    cursors = [request.query.get("cursor") for request in service.asked if request.path == "/v1/live"]
    assert cursors == [None, "c2", "c3"]


async def test_a_job_that_is_deleted_meanwhile_ends_the_watch(client: Client, service: Service) -> None:
    service.lives = [[{"type": "deleted", "cursor": "c2", "job_id": "job_1"}]]
    with pytest.raises(NotFound, match="job-deleted"):
        [state async for state in client.follow("job_1")]


async def test_a_service_that_stays_away_is_given_up(free_port: Callable[[], int]) -> None:
    async with Client(f"http://127.0.0.1:{free_port()}", TOKEN) as client:
        with pytest.raises(Unreachable):
            await anext(client.live(patience_s=0.0))

"""A fake server with the part of the API that the page uses; each test controls it."""

import asyncio
import itertools
import mimetypes
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from web.http.middleware import add_cors_headers, cors
from web.http.security_headers import add_headers, page_policy

STATIC = Path(__file__).resolve().parents[3] / "web" / "static"
TOKEN = "secret-token_1"
STATUSES = ("waiting", "active", "completed", "failed", "cancelled")


Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def iso(at_s: float) -> str:
    """Seconds since the epoch in the API's format."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def step(name: str, status: str = "waiting", progress: float = 0.0, **more: Any) -> Json:
    """A step in the API's format; `progress` 0-100."""
    return {
        "name": name,
        "status": status,
        "progress": progress,
        "attempt": 0 if status == "waiting" else 1,
        "attempts": 3,
        "started_at": None,
        "finished_at": None,
    } | more


def job(number: int, status: str = "waiting", steps: list[Json] | None = None, **more: Any) -> Json:
    """A job in the API's format; a higher number is newer."""
    return {
        "id": f"job_{number:06}",
        "asset_id": f"asset_{number:06}",
        "filename": f"clip-{number}.mp4",
        "pipeline": "standard",
        "status": status,
        "progress": 0.0,
        "current_step": None,
        "run": 1,
        "created_at": iso(time.time() - 3600 + number),
        "updated_at": iso(time.time()),
        "started_at": None,
        "finished_at": None,
        "steps": steps or [step("probe"), step("transcode"), step("thumbnails")],
    } | more


def ready_job(number: int, **more: Any) -> Json:
    """A completed job whose asset has a stream, a poster and a storyboard in `FakeKinolog.media`."""
    root = f"assets/asset_{number:06}"
    times = {"started_at": iso(time.time() - 40), "finished_at": iso(time.time() - 4)}
    pictures = {"poster": f"{root}/thumbnails/1-a/poster.jpg", "storyboard": f"{root}/thumbnails/1-a/storyboard.vtt"}
    steps = [
        step("probe", "completed", 100, **times),
        step("transcode", "completed", 100, outputs={"master": f"{root}/transcode/1-a/master.m3u8"}, **times),
        step("thumbnails", "completed", 100, outputs=pictures, **times),
    ]
    return job(number, "completed", steps, progress=100, **times, **more)


class FakeKinolog:
    """Jobs, live sockets, and a record of the page's requests."""

    def __init__(self, media: Path) -> None:
        calm = {"behind_records": 0, "behind_s": 0.0, "troubles": []}
        #: Folder that is served as every asset's artifacts.
        self.media = media
        self.jobs: dict[str, Json] = {}
        #: Events of each job, by its id.
        self.events: dict[str, list[Json]] = {}
        #: Cleared while live connections stay open, but say nothing, and new ones get no response.
        self.responds = asyncio.Event()
        self.responds.set()
        #: Text messages of the page's live connections.
        self.pings = 0
        #: The caller's role.
        self.role = "admin"
        #: Executors as the list of them has them.
        self.executors: list[Json] = []
        self.calls: list[str] = []
        #: Other changes: method and path, and the body.
        self.changes: list[tuple[str, Any]] = []
        #: Lists that are served as they are, by path.
        self.known: dict[str, Any] = {"/v1/stats/system": {"control": calm, "disks": []}}
        #: Commands to many jobs: (action, body).
        self.bulks: list[tuple[str, Json]] = []
        self.uploads: dict[str, bytes] = {}
        self.upload_keys: list[str] = []
        #: Parameters of the uploads, besides the name, by their names.
        self.upload_fields: dict[str, Json] = {}
        #: Pipelines that are offered, the default one first.
        self.pipelines = ["standard", "video"]
        self.protocols: list[str] = []
        self.resumed_from: list[str | None] = []
        #: Topics of each live connection.
        self.subscriptions: list[str] = []
        #: (status, body) that the next commands and uploads are answered with, instead of being done.
        self.refusals: list[tuple[int, Json]] = []
        #: What every search is answered with, and what was asked.
        self.found: Json = {"data": [], "mode": "hybrid"}
        self.searches: list[str] = []
        #: Parameters of all searches.
        self.search_queries: list[Json] = []
        #: Assets by id, in the API's format.
        self.assets: dict[str, Json] = {}
        #: Most jobs in a snapshot.
        self.snapshot_jobs = 10_000
        #: How many lists are refused with 503.
        self.list_refusals = 0
        #: Queries of all lists.
        self.lists: list[Json] = []
        #: Set while lists may be answered.
        self.answers = asyncio.Event()
        self.answers.set()
        #: Origins whose pages may use the server.
        self.cors_origins: tuple[str, ...] = ()
        #: Assets whose captions are served.
        self.captioned: set[str] = set()
        #: What the next request of an artifact gets, by its name: "empty", or "silent": nothing until it is given up.
        self.media_faults: dict[str, str] = {}
        #: How many URLs were signed for each asset, and the first signature that has not expired.
        self.signed: Counter[str] = Counter()
        self.first_valid_signature = 0
        self._sockets: set[web.WebSocketResponse] = set()
        self._frames: list[Json] = []
        #: Cursor before the first of them.
        self._first = 0
        self._numbers = itertools.count(900_000)

    async def put(self, job: Json) -> None:
        """Says that `job` is now like this."""
        self.jobs[job["id"]] = job
        await self._say({"type": "job", "job": job})

    async def progress(self, job_id: str, step: str, progress: float, **more: Any) -> None:
        """Says how far a step is, without a cursor, as the real one does."""
        frame = {"type": "progress", "job_id": job_id, "step": step, "progress": progress, "eta_s": None} | more
        for socket in self._sockets:
            await socket.send_json(frame)

    async def caption(self, job_id: str, text: str, language: str | None = "en") -> None:
        """Sends words that were just heard."""
        frame = {"type": "caption", "job_id": job_id, "id": 1, "start_ms": 0, "end_ms": 900, "text": text}
        for socket in self._sockets:
            await socket.send_json(frame | {"language": language})

    async def pause(self, step: str, *, paused: bool = True) -> None:
        """Pauses a queue, or resumes it: of no job's position."""
        for socket in self._sockets:
            await socket.send_json({"type": "queue", "step": step, "paused": paused, "positions": {}})

    async def report(self, executor: Json) -> None:
        """Sends an executor's frame."""
        for socket in self._sockets:
            await socket.send_json({"type": "executor", "executor": executor})

    async def delete(self, job_id: str) -> None:
        """Says that the job is gone."""
        del self.jobs[job_id]
        await self._say({"type": "deleted", "job_id": job_id})

    async def drop_sockets(self) -> None:
        """Closes every live connection."""
        for socket in list(self._sockets):
            await socket.close(code=1001, message=b"going away")

    def forget_frames(self) -> None:
        """Has nothing left for those who resume."""
        self._first, self._frames = self._last + 1, []

    @property
    def _last(self) -> int:
        return self._first + len(self._frames)

    async def _say(self, frame: Json) -> None:
        self._frames.append(frame | {"cursor": str(self._last + 1)})
        for socket in list(self._sockets):
            await socket.send_json(self._frames[-1])

    def app(self) -> web.Application:
        """The server."""
        app = web.Application(middlewares=[cors(self.cors_origins), self._guard], client_max_size=1 << 30)
        app.on_response_prepare.extend([add_headers, add_cors_headers])
        app.router.add_get("/", self._page)
        app.router.add_static("/static", STATIC)
        app.router.add_get("/v1/live", self._live)
        app.router.add_get("/v1/jobs", self._list)
        app.router.add_get("/v1/jobs/counts", self._counts)
        for path in (
            "jobs/failures",
            "stats/steps",
            "stats/system",
            "queues",
            "tokens",
            "audit",
            "dead-letters",
            "cache-assets",
        ):
            app.router.add_get(f"/v1/{path}", self._known)
        app.router.add_get("/v1/jobs/{id}", self._job)
        app.router.add_get("/v1/jobs/{id}/events", self._job_events)
        app.router.add_delete("/v1/jobs/{id}", self._command)
        app.router.add_get("/v1/stats", self._stats)
        app.router.add_get("/v1/pipelines", self._pipelines)
        app.router.add_get("/v1/me", self._me)
        app.router.add_get("/v1/executors", self._executors)
        app.router.add_get("/v1/search", self._search)
        app.router.add_post("/v1/jobs/{action:cancel|retry|clear}", self._bulk)
        app.router.add_post("/v1/jobs/{id}/{action}", self._command)
        app.router.add_post("/v1/uploads", self._upload)
        app.router.add_get("/v1/cache-assets/stats", self._cache_stats)
        for method, path in (
            ("POST", "queues/{step}/{action}"),
            ("PATCH", "queues/{step}"),
            ("POST", "tokens"),
            ("DELETE", "tokens/{id}"),
            ("POST", "cache-assets/{action}"),
        ):
            app.router.add_route(method, f"/v1/{path}", self._change)
        app.router.add_get("/v1/assets/{id}", self._asset)
        app.router.add_post("/v1/assets/{id}/playback", self._playback)
        app.router.add_get("/media/s/{signature}/{asset_id}/{step}/{attempt}/{name:.+}", self._media)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        open_to_all = request.path == "/" or request.path.startswith(("/static/", "/media/s/"))
        if not open_to_all and TOKEN not in (_bearer(request), _live_token(request)):
            return _refusal(401, {"code": "unauthorized", "detail": "A token is needed."})
        response = await handler(request)
        if not response.prepared:
            response.headers["Content-Security-Policy"] = page_policy()
        return response

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "index.html")

    async def _live(self, request: web.Request) -> web.StreamResponse:
        self.protocols.append(request.headers.get("Sec-WebSocket-Protocol", ""))
        cursor = request.query.get("cursor")
        self.resumed_from.append(cursor)
        self.subscriptions.append(request.query.get("subscribe", ""))
        if any(self._is_unknown(topic) for topic in self.subscriptions[-1].split(",")):
            return _refusal(404, {"code": "not-found", "detail": "Not found, or not yours."})
        await self.responds.wait()
        socket = web.WebSocketResponse(protocols=("kinolog",))
        await socket.prepare(request)
        is_known = cursor is not None and self._first <= int(cursor)
        for frame in self._frames[int(cursor or 0) - self._first :] if is_known else [self._snapshot()]:
            await socket.send_json(frame)
        self._sockets.add(socket)
        async for _ in socket:  # until it closes
            self.pings += 1
            if self.responds.is_set():
                await socket.send_json({"type": "pong"})
        self._sockets.discard(socket)
        return socket

    @property
    def open_sockets(self) -> int:
        """How many live connections there are."""
        return len(self._sockets)

    def _is_unknown(self, topic: str) -> bool:
        kind, _, name = topic.partition(":")
        known = {"job": set(self.jobs), "asset": {job["asset_id"] for job in self.jobs.values()}}
        return kind in known and name not in known[kind]

    def _snapshot(self) -> Json:
        newest = self._newest_first()
        frame = {"type": "snapshot", "cursor": str(self._last), "jobs": newest[: self.snapshot_jobs]}
        return frame | {"more": True} if len(newest) > self.snapshot_jobs else frame

    def _newest_first(self) -> list[Json]:
        return sorted(self.jobs.values(), key=lambda job: (str(job["created_at"]), str(job["id"])), reverse=True)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self.lists.append(dict(request.query))
        found = [job for job in self._newest_first() if _is_found(job, request.query)]
        await self.answers.wait()
        if self.list_refusals:
            self.list_refusals -= 1
            return _refusal(503, {"code": "read-model-behind", "detail": "The log is being read."})
        start = [job["id"] for job in found].index(cursor) + 1 if (cursor := request.query.get("cursor")) else 0
        page = found[start : start + int(request.query["limit"])]
        is_last = start + len(page) == len(found)
        return web.json_response({"data": page, "next_cursor": None if is_last else page[-1]["id"]})

    async def _job(self, request: web.Request) -> web.StreamResponse:
        if (found := self.jobs.get(request.match_info["id"])) is None:
            return _refusal(404, {"code": "not-found", "detail": "Not found, or not yours."})
        return web.json_response({"data": found})

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        if (found := self.assets.get(request.match_info["id"])) is None:
            return _refusal(404, {"code": "not-found", "detail": "Not found, or not yours."})
        return web.json_response({"data": found})

    async def _job_events(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": self.events.get(request.match_info["id"], [])})

    async def _stats(self, _request: web.Request) -> web.StreamResponse:
        pipelines = Counter(job["pipeline"] for job in self.jobs.values())
        steps: Json = {step["name"]: {} for job in self.jobs.values() for step in job["steps"]}
        jobs = dict.fromkeys(STATUSES, 0) | Counter(job["status"] for job in self.jobs.values())
        return web.json_response({"data": {"jobs": jobs, "pipelines": pipelines, "steps": steps}})

    async def _pipelines(self, _request: web.Request) -> web.StreamResponse:
        offered = [{"name": name, "default": name == self.pipelines[0], "steps": []} for name in self.pipelines]
        return web.json_response({"data": offered})

    async def _known(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": self.known.get(request.path, []), "next_cursor": None})

    async def _change(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.changes.append((f"{request.method} {request.path}", body))
        if self.refusals:
            return _refusal(*self.refusals.pop(0))
        return web.json_response({"data": {"token": "a-new-token", "role": "viewer"}}, status=201)

    async def _cache_stats(self, _request: web.Request) -> web.StreamResponse:
        stats = {"assets": {"CACHED": 1}, "jobs": {}, "bytes": 1536, "hits": 3, "misses": 1, "hit_ratio": 0.75}
        return web.json_response({"data": stats})

    async def _counts(self, request: web.Request) -> web.StreamResponse:
        found = [job["status"] for job in self.jobs.values() if _is_found(job, request.query)]
        return web.json_response({"data": {"jobs": Counter(found)}})

    async def _me(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": {"owner": None, "role": self.role, "token_id": "operator"}})

    async def _executors(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": self.executors})

    async def _search(self, request: web.Request) -> web.StreamResponse:
        self.searches.append(request.query["q"])
        self.search_queries.append(dict(request.query))
        return web.json_response(self.found)

    async def _command(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(f"{request.match_info.get('action', 'delete')} {request.match_info['id']}")
        if self.refusals:
            return _refusal(*self.refusals.pop(0))
        return web.json_response({"data": {"id": request.match_info["id"]}, "cursor": "c"}, status=202)

    async def _bulk(self, request: web.Request) -> web.StreamResponse:
        if self.refusals:
            return _refusal(*self.refusals.pop(0))
        body = await request.json()
        self.bulks.append((request.match_info["action"], body))
        query = {name: value for name, value in body.items() if isinstance(value, str) and value != "all"}
        found = [job for job in self.jobs.values() if job["id"] in body.get("ids", self.jobs) and _is_found(job, query)]
        return web.json_response({"data": {"count": len(found)}}, status=202)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.upload_keys.append(request.headers["Idempotency-Key"])
        if self.refusals:
            return _refusal(*self.refusals.pop(0))
        fields = dict(request.query)
        name = fields.pop("filename")
        self.uploads[name], self.upload_fields[name] = body, fields
        created = job(next(self._numbers), filename=name, pipeline=fields.get("pipeline", "standard"))
        await self.put(created)
        return web.json_response({"data": {"asset_id": created["asset_id"], "job_id": created["id"]}}, status=201)

    async def _playback(self, request: web.Request) -> web.StreamResponse:
        asset_id = request.match_info["id"]
        if self._is_unknown(f"asset:{asset_id}"):
            return _refusal(404, {"code": "not-found", "detail": "Not found, or not yours."})
        self.signed[asset_id] += 1
        base, there = f"/media/s/{self.signed[asset_id]}.signature/{asset_id}", self._published(asset_id)
        urls = {
            "master_url": f"{base}/transcode/1-a/master.m3u8" if "transcode" in there else None,
            "poster_url": f"{base}/thumbnails/1-a/poster.jpg" if "thumbnails" in there else None,
            "storyboard_url": f"{base}/thumbnails/1-a/storyboard.vtt" if "thumbnails" in there else None,
        }
        captions = [f"{base}/transcribe/1-a/captions.vtt"] if asset_id in self.captioned else []
        status = {"status": "READY" if urls["master_url"] else "PROCESSING", "expires_at": iso(time.time() + 3600)}
        return web.json_response({"data": urls | {"base_url": f"{base}/", "captions": captions} | status})

    def _published(self, asset_id: str) -> set[str]:
        """Steps whose artifacts the asset has by now."""
        steps = [step for job in self.jobs.values() if job["asset_id"] == asset_id for step in job["steps"]]
        return {step["name"] for step in steps if step["status"] == "completed"}

    async def _media(self, request: web.Request) -> web.StreamResponse:
        if int(request.match_info["signature"].partition(".")[0]) < self.first_valid_signature:
            return _refusal(403, {"code": "url-expired", "detail": "The URL has expired."})
        match self.media_faults.pop(request.match_info["name"], None):
            case "empty":
                return web.Response()
            case "silent":
                while request.transport is not None and not request.transport.is_closing():
                    await asyncio.sleep(0.05)
        path = self.media / request.match_info["name"]
        if not path.is_file():
            return web.Response(status=404)
        # A FileResponse whose client leaves while it opens the file, as pages do, leaves the file open.
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return web.Response(body=await asyncio.to_thread(path.read_bytes), content_type=kind)


def _is_found(job: Json, query: Mapping[str, str]) -> bool:
    statuses = query["status"].split(",") if "status" in query else [job["status"]]
    equals = all(query.get(name, job.get(name)) == job.get(name) for name in ("pipeline", "owner"))
    return equals and job["status"] in statuses and query.get("q", "").casefold() in job["filename"].casefold()


def _bearer(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def _live_token(request: web.Request) -> str:
    offered = request.headers.get("Sec-WebSocket-Protocol", "").split(", ")
    return next((name.removeprefix("bearer.") for name in offered if name.startswith("bearer.")), "")


def _refusal(status: int, body: Json) -> web.Response:
    return web.json_response(body, status=status, content_type="application/problem+json")

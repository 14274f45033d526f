"""The REST interface and the live websocket from Python: what the CLI uses, offered to everybody.

ClientError
├── Unreachable     nobody answers, or the answer broke off
└── Rejected        the service said no: HTTP status, stable code, title and detail
    ├── Unauthorized    401, 403: no token, or not the right one
    ├── NotFound        404
    └── Conflict        409: not in the state that it would have to be in

async with Client("http://127.0.0.1:8080", token) as client:
    submitted = await client.submit_file(Path("talk.mp4"))
    async for job in client.follow(submitted.job_id, after=submitted.cursor):
        print(job["status"], job["progress"])
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, cast
from urllib.parse import quote

import aiohttp

#: A job as `GET /v1/jobs/{id}` gives it.
Job = dict[str, Any]
#: One frame of the live websocket.
LiveFrame = dict[str, Any]

ENDED = frozenset({"completed", "failed", "cancelled"})
_CHUNK_BYTES = 1024 * 1024
_CONNECT_S = 5.0
#: Above the longest wait of a `?after=` and of an upload that is being stored.
_ANSWER_S = 120.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0


class ClientError(Exception):
    """The service could not do what was asked."""

    #: What the CLI ends with.
    exit_code = 2


class Unreachable(ClientError):
    """Nobody answers at the address, or the connection broke."""

    exit_code = 3


class Rejected(ClientError):
    """The service understood and said no. `code` is stable (application/problem+json, RFC 9457)."""

    def __init__(self, status: int, code: str, title: str, detail: str = "") -> None:
        super().__init__(f"{detail or title} ({code})")
        self.status, self.code, self.title, self.detail = status, code, title, detail
        self.exit_code = 3 if status >= 500 else 2


class Unauthorized(Rejected):
    """The token is missing, unknown, or of a role that may not do this."""


class NotFound(Rejected):
    """There is no such thing, or it is somebody else's."""


class Conflict(Rejected):
    """It is not in a state in which this can be done."""


_BY_STATUS: dict[int, type[Rejected]] = {401: Unauthorized, 403: Unauthorized, 404: NotFound, 409: Conflict}


class Submitted(NamedTuple):
    """What a submission started."""

    asset_id: str
    job_id: str
    #: Give it as `after` to read this write.
    cursor: str | None


class Client:
    """One service. Use it as an async context manager; its methods may run side by side."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._open: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_ANSWER_S)
        self._open = aiohttp.ClientSession(headers=headers, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            await self._open.close()

    async def submit_file(
        self,
        path: Path,
        *,
        pipeline: str | None = None,
        passthrough: str | None = None,
        idempotency_key: str | None = None,
        on_sent: Callable[[int], None] | None = None,
    ) -> Submitted:
        """Upload a file, read piece by piece, and start its job. `on_sent` hears how many bytes have gone so far.

        Raises OSError when the file cannot be read. Safe to repeat only with an idempotency key.
        """
        size_bytes = (await asyncio.to_thread(path.stat)).st_size
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size_bytes)}
        answer = await self._ask(
            "POST",
            "/v1/uploads",
            params=_given(filename=path.name, pipeline=pipeline, passthrough=passthrough),
            headers={**headers, **_idempotency(idempotency_key)},
            data=_pieces(path, on_sent),
        )
        return _submitted(answer)

    async def submit_asset(
        self,
        source: Mapping[str, str],
        *,
        pipeline: str | None = None,
        passthrough: str | None = None,
        idempotency_key: str | None = None,
    ) -> Submitted:
        """Start a job on media that is somewhere already: `source` is {"object": KEY}, {"url": …} or {"path": …}."""
        body = {"input": dict(source), **_given(pipeline=pipeline, passthrough=passthrough)}
        return _submitted(await self._ask("POST", "/v1/assets", json=body, headers=_idempotency(idempotency_key)))

    async def job(self, job_id: str, *, after: str | None = None) -> Job:
        """One job; with `after`, not before the write of that cursor is visible. Raises NotFound."""
        return _content(await self._ask("GET", _job_path(job_id), params=_given(after=after)))

    async def jobs(self, **filters: str | int | None) -> dict[str, Any]:
        """One page: {"data": [job, …], "next_cursor": …}. Filters: status, pipeline, asset_id, sort, limit, cursor …"""
        return await self._ask("GET", "/v1/jobs", params=_given(**filters))

    async def cancel(self, job_id: str) -> None:
        """Ask for the job's end; accepted is not yet done. Raises NotFound, Conflict when it has ended."""
        await self._ask("POST", f"{_job_path(job_id)}/cancel")

    async def retry(self, job_id: str) -> None:
        """Resume a failed or cancelled job from the steps that did not complete. Raises NotFound, Conflict."""
        await self._ask("POST", f"{_job_path(job_id)}/retry")

    async def delete(self, job_id: str) -> None:
        """Delete a job that has ended, and what it published. Raises NotFound, Conflict while it waits or runs."""
        await self._ask("DELETE", _job_path(job_id))

    async def clear(self, **wanted: Any) -> int:
        """Forget ended jobs; how many. Filters: status (or "all"), older_than_s, pipeline, artifacts."""
        answer = await self._ask("POST", "/v1/jobs/clear", json={k: v for k, v in wanted.items() if v is not None})
        return int(_content(answer)["count"])

    async def retry_all(self, **wanted: Any) -> int:
        """Retry failed or cancelled jobs; how many. Filters: status, pipeline, step, q, created_after …"""
        answer = await self._ask("POST", "/v1/jobs/retry", json={k: v for k, v in wanted.items() if v is not None})
        return int(_content(answer)["count"])

    async def events(self, job_id: str) -> list[dict[str, Any]]:
        """The job's timeline, from the log. Raises NotFound."""
        return cast(list[dict[str, Any]], (await self._ask("GET", f"{_job_path(job_id)}/events"))["data"])

    async def export(self, **filters: str | None) -> AsyncIterator[bytes]:
        """Every job that the filters find, as one stream. Filters: format ("csv" or "json"), and those of `jobs`."""
        async with (
            self._mapped(),
            self._session.get(f"{self.url}/v1/jobs/export", params=_given(**filters)) as answer,
        ):
            if answer.status >= 400:
                raise _rejection(answer.status, _decoded(await answer.read()))
            async for chunk in answer.content.iter_any():
                yield chunk

    async def change_queue(self, step: str, *, paused: bool) -> None:
        """Pause or resume a step's queue; takes an admin's token. Raises NotFound."""
        await self._ask("POST", f"/v1/queues/{quote(step, safe='')}/{'pause' if paused else 'resume'}")

    async def create_token(self, **wanted: str | float | None) -> dict[str, Any]:
        """Make an API token: role, owner, label, ttl_s, requests_per_s. `token` in the answer is told this once."""
        body = {name: value for name, value in wanted.items() if value is not None}
        return _content(await self._ask("POST", "/v1/tokens", json=body))

    async def tokens(self) -> list[dict[str, Any]]:
        """Every token that was made, without its secret."""
        found: list[dict[str, Any]] = (await self._ask("GET", "/v1/tokens"))["data"]
        return found

    async def revoke_token(self, token_id: str) -> dict[str, Any]:
        """End a token everywhere; harmless to repeat. Raises NotFound."""
        return _content(await self._ask("DELETE", f"/v1/tokens/{quote(token_id, safe='')}"))

    async def cache(self, method: str, path: str = "", body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask `/v1/cache-assets<path>` for cached media: {"data": …}."""
        return await self._ask(method, f"/v1/cache-assets{path}", json=body)

    async def collect_garbage(self, *, dry_run: bool, older_than_days: float = 1.0) -> dict[str, Any]:
        """Have files removed that no row points at; what was found. Takes an admin's token."""
        body = {"dry_run": dry_run, "older_than_days": older_than_days}
        return _content(await self._ask("POST", "/v1/store/gc", json=body))

    async def search(self, text: str, *, mode: str | None = None, limit: int | None = None) -> dict[str, Any]:
        """Passages of what was said: {"data": [passage, …], "mode": …, "left_out"?: […]}."""
        return await self._ask("GET", "/v1/search", params=_given(q=text, mode=mode, limit=limit))

    async def file(self, asset_id: str, key: str) -> bytes:
        """The content of an artifact, by the key that stands in the outputs. Raises NotFound."""
        path = key.removeprefix(f"assets/{asset_id}/")
        url = f"{self.url}/media/{quote(asset_id, safe='')}/{quote(path)}"
        async with self._mapped(), self._session.get(url) as answer:
            content = await answer.read()
            if answer.status >= 400:
                raise _rejection(answer.status, _decoded(content))
            return content

    async def follow(self, job_id: str, *, after: str | None = None) -> AsyncIterator[Job]:
        """The job now and after every change, progress folded in, until it has ended. Rides out a restarted service.

        Raises NotFound when there is no such job or it is deleted meanwhile.
        """
        job = await self.job(job_id, after=after)
        yield job
        if job["status"] in ENDED:
            return
        async for frame in self.live(f"job:{job_id}"):
            changed = folded(job, frame)
            if changed == job:
                continue
            job = changed
            yield job
            if job["status"] in ENDED:
                return

    async def live(
        self, subscribe: str = "all", *, cursor: str | None = None, patience_s: float = 60.0
    ) -> AsyncIterator[LiveFrame]:
        """Frames of `/v1/live` for ever: a lost connection is resumed by cursor, so no change is missed.

        Raises Unreachable after `patience_s` without any frame from a working connection, Rejected when refused.
        """
        pause_s, lost_at = _FIRST_PAUSE_S, None
        while True:
            try:
                async for frame in self._frames(subscribe, cursor):
                    cursor = frame.get("cursor") or cursor
                    pause_s, lost_at = _FIRST_PAUSE_S, None
                    yield frame
            except Unreachable:
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at > patience_s:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _frames(self, subscribe: str, cursor: str | None) -> AsyncIterator[LiveFrame]:
        """Frames of one connection, until it closes."""
        params = _given(subscribe=subscribe, cursor=cursor)
        async with (
            self._mapped(),
            self._session.ws_connect(f"{self.url}/v1/live", params=params, heartbeat=20) as socket,
        ):
            async for frame in socket:
                if frame.type is aiohttp.WSMsgType.TEXT:
                    yield json.loads(frame.data)

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        async with self._mapped(), self._session.request(method, self.url + path, **options) as answer:
            body = _decoded(await answer.read())
            if answer.status >= 400:
                raise _rejection(answer.status, body)
            return body

    @asynccontextmanager
    async def _mapped(self) -> AsyncIterator[None]:
        """The one place where aiohttp's errors become ours."""
        try:
            yield
        except aiohttp.WSServerHandshakeError as error:
            raise _rejection(error.status, {"title": error.message}) from error
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise Unreachable(f"{self.url} cannot be reached: {str(error) or type(error).__name__}") from error

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._open is None:
            raise RuntimeError("use Client as an async context manager")
        return self._open


def folded(job: Job, frame: LiveFrame) -> Job:
    """`job` after `frame`; the same when the frame is about something else. Raises NotFound when it was deleted."""
    kind = frame.get("type")
    if kind == "snapshot":
        return next((found for found in frame["jobs"] if found["id"] == job["id"]), job)
    if kind == "job" and frame["job"]["id"] == job["id"]:
        return cast(Job, frame["job"])
    if kind == "progress" and frame["job_id"] == job["id"]:
        return _with_progress(job, frame)
    if kind == "queue":
        return _with_queue(job, frame)
    if kind == "deleted" and job["id"] in (frame.get("id"), frame.get("job_id")):
        raise NotFound(404, "job-deleted", "The job was deleted", job["id"])
    return job


def _with_progress(job: Job, frame: LiveFrame) -> Job:
    moved = {"progress": frame["progress"], "eta_s": frame.get("eta_s")}
    steps = [{**step, **moved} if step["name"] == frame["step"] else step for step in job["steps"]]
    return {**job, "steps": steps, "progress": frame.get("job_progress", job["progress"])}


def _with_queue(job: Job, frame: LiveFrame) -> Job:
    """The positions in a frame are of some jobs; whether the queue is paused concerns every job that waits in it."""
    held = [step for step in job["steps"] if step["name"] == frame["step"] and step["status"] in ("waiting", "delayed")]
    if not held:
        return job
    steps = [_queued(step, frame, job["id"]) if step in held else step for step in job["steps"]]
    return {**job, "steps": steps, **({"eta_s": None} if frame.get("paused") else {})}


def _queued(step: dict[str, Any], frame: LiveFrame, job_id: str) -> dict[str, Any]:
    position = frame["positions"].get(job_id) if step["status"] == "waiting" else None
    moved = {**step, **({"queue_position": position} if position else {})}
    moved.pop("paused", None)
    if frame.get("paused"):
        moved.pop("eta_s", None)
        moved |= {"paused": True} if "queue_position" in moved else {}
    return moved


async def _pieces(path: Path, on_sent: Callable[[int], None] | None) -> AsyncIterator[bytes]:
    sent_bytes = 0
    with await asyncio.to_thread(path.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield piece
            sent_bytes += len(piece)
            if on_sent is not None:
                on_sent(sent_bytes)


def _job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _given(**options: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in options.items() if value is not None}


def _idempotency(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}


def _content(answer: dict[str, Any]) -> Job:
    return cast(Job, answer["data"])


def _submitted(answer: dict[str, Any]) -> Submitted:
    content = answer["data"]
    return Submitted(content["asset_id"], content["job_id"], answer.get("cursor") or content.get("cursor"))


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body) if body else {}
    except ValueError:  # a proxy's page, not ours: the status says enough
        return {}
    return found if isinstance(found, dict) else {}


def _rejection(status: int, problem: dict[str, Any]) -> Rejected:
    kind = _BY_STATUS.get(status, Rejected)
    title = problem.get("title") or f"HTTP {status}"
    return kind(status, problem.get("code") or f"http-{status}", title, problem.get("detail") or "")

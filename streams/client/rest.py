"""The client of the REST interface and the live websocket."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, cast
from urllib.parse import quote, urljoin, urlsplit

import aiohttp

from streams.client.errors import InvalidUrl, Unreachable, rejection
from streams.client.frames import Job, LiveFrame, folded

ENDED = frozenset({"completed", "failed", "cancelled"})
_CHUNK_BYTES = 1024 * 1024
_CONNECT_S = 5.0
#: Above the longest wait of a `?after=` and of an upload that is being stored.
_RESPONSE_S = 120.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0


class Submitted(NamedTuple):
    """The job that a submission created."""

    asset_id: str
    job_id: str
    #: Pass it as `after` to read this write.
    cursor: str | None


class Client:
    """Client of one service. An async context manager; its methods may run concurrently. Raises InvalidUrl."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = checked_url(url)
        self._token = token
        self._open: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_RESPONSE_S)
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
        priority: str | None = None,
        run_at: str | None = None,
        idempotency_key: str | None = None,
        on_sent: Callable[[int], None] | None = None,
    ) -> Submitted:
        """Upload a file in chunks, and start its job. `on_sent` is called with the number of bytes sent so far;
        `run_at`: when the job is to start, ISO 8601 with a zone.

        Raises OSError when the file cannot be read. Safe to repeat only with an idempotency key.
        """
        size_bytes = (await asyncio.to_thread(path.stat)).st_size
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size_bytes)}
        response = await self._request(
            "POST",
            "/v1/uploads",
            params=_present(
                filename=path.name, pipeline=pipeline, passthrough=passthrough, priority=priority, run_at=run_at
            ),
            headers={**headers, **_idempotency(idempotency_key)},
            data=_chunks(path, on_sent),
        )
        return _submitted(response)

    async def submit_asset(
        self,
        source: Mapping[str, str],
        *,
        pipeline: str | None = None,
        passthrough: str | None = None,
        priority: str | None = None,
        run_at: str | None = None,
        idempotency_key: str | None = None,
    ) -> Submitted:
        """Start a job on stored or remote media: `source` is {"object": KEY}, {"url": …} or {"path": …}."""
        options = _present(pipeline=pipeline, passthrough=passthrough, priority=priority, run_at=run_at)
        body = {"input": dict(source), **options}
        return _submitted(await self._request("POST", "/v1/assets", json=body, headers=_idempotency(idempotency_key)))

    async def job(self, job_id: str, *, after: str | None = None) -> Job:
        """One job; with `after`, not before the write of that cursor is visible. Raises NotFound."""
        return _content(await self._request("GET", _job_path(job_id), params=_present(after=after)))

    async def jobs(self, **filters: str | int | None) -> dict[str, Any]:
        """One page: {"data": [job, …], "next_cursor": …}. Filters: status, pipeline, asset_id, sort, limit, cursor …"""
        return await self._request("GET", "/v1/jobs", params=_present(**filters))

    async def cancel(self, job_id: str) -> None:
        """Cancel a job; running steps end a moment later. Raises NotFound, Conflict when it has ended."""
        await self._request("POST", f"{_job_path(job_id)}/cancel")

    async def retry(self, job_id: str) -> None:
        """Resume a job from the steps that did not complete: one that failed, was cancelled, or completed without them.

        Raises NotFound, Conflict.
        """
        await self._request("POST", f"{_job_path(job_id)}/retry")

    async def delete(self, job_id: str) -> None:
        """Delete a job that has ended, and what it published. Raises NotFound, Conflict while it waits or runs."""
        await self._request("DELETE", _job_path(job_id))

    async def clear(self, **filters: Any) -> int:
        """Remove ended jobs; their number. Filters: status (or "all"), older_than_s, pipeline, artifacts."""
        return await self._count("/v1/jobs/clear", filters)

    async def retry_all(self, **filters: Any) -> int:
        """Retry jobs that can be retried; their number. Filters: status, pipeline, step, q, created_after …"""
        return await self._count("/v1/jobs/retry", filters)

    async def _count(self, path: str, body: Mapping[str, Any] | None = None) -> int:
        chosen = {name: value for name, value in (body or {}).items() if value is not None}
        return int(_content(await self._request("POST", path, json=chosen))["count"])

    async def events(self, job_id: str) -> list[dict[str, Any]]:
        """The job's timeline, from the log. Raises NotFound."""
        return _items(await self._request("GET", f"{_job_path(job_id)}/events"))

    async def export(self, **filters: str | None) -> AsyncIterator[bytes]:
        """All matching jobs as one stream. Filters: format ("csv" or "json"), and those of `jobs`."""
        async with (
            self._mapped(),
            self._session.get(f"{self.url}/v1/jobs/export", params=_present(**filters)) as response,
        ):
            if response.status >= 400:
                raise rejection(response.status, _decoded(await response.read()))
            async for chunk in response.content.iter_any():
                yield chunk

    async def stats(self, *, as_of: str | None = None) -> dict[str, Any]:
        """Counts of jobs, steps and assets; with `as_of` (ISO 8601) at that time."""
        return _content(await self._request("GET", "/v1/stats", params=_present(as_of=as_of)))

    async def queues(self) -> list[dict[str, Any]]:
        """Every step's queue: whether it is paused, its executors, its jobs by the step's status."""
        return _items(await self._request("GET", "/v1/queues"))

    async def executors(self) -> list[dict[str, Any]]:
        """Every executor that has reported lately; needs an admin's token."""
        return _items(await self._request("GET", "/v1/executors"))

    async def change_queue(self, step: str, *, paused: bool) -> None:
        """Pause or resume a step's queue; needs an admin's token. Raises NotFound."""
        await self._request("POST", f"/v1/queues/{quote(step, safe='')}/{'pause' if paused else 'resume'}")

    async def limit_queue(self, step: str, max_active: int | None) -> None:
        """Limit the active attempts of a step; None lifts the limit. Needs an admin's token. Raises NotFound."""
        await self._request("PATCH", f"/v1/queues/{quote(step, safe='')}", json={"max_active": max_active})

    async def create_token(self, **fields: str | float | None) -> dict[str, Any]:
        """Create an API token: role, owner, label, ttl_s, requests_per_s. Only this response has the secret `token`."""
        body = {name: value for name, value in fields.items() if value is not None}
        return _content(await self._request("POST", "/v1/tokens", json=body))

    async def tokens(self) -> list[dict[str, Any]]:
        """Every API token, without its secret."""
        return _items(await self._request("GET", "/v1/tokens"))

    async def revoke_token(self, token_id: str) -> dict[str, Any]:
        """Revoke a token on every replica; safe to repeat. Raises NotFound."""
        return _content(await self._request("DELETE", f"/v1/tokens/{quote(token_id, safe='')}"))

    async def signing_keys(self) -> list[dict[str, Any]]:
        """Every key that signs media URLs, without the key itself; needs an admin's token."""
        return _items(await self._request("GET", "/v1/keys"))

    async def rotate_signing_key(self) -> dict[str, Any]:
        """Make a key that signs media URLs from now on; those of earlier keys are valid until they expire."""
        return _content(await self._request("POST", "/v1/keys"))

    async def revoke_signing_key(self, key_id: str) -> dict[str, Any]:
        """Reject all media URLs of a key; safe to repeat. Raises NotFound."""
        return _content(await self._request("DELETE", f"/v1/keys/{quote(key_id, safe='')}"))

    async def add_cache_assets(self, urls: Sequence[str]) -> list[dict[str, Any]]:
        """Download each URL, at most 1,000: {"url", "id", "status"} of each, or its "error"."""
        return _items(await self._request("POST", "/v1/cache-assets", json={"urls": list(urls)}))

    async def resolve_cache_assets(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """The URL and status of each id, at most 1,000; the original URL where nothing is cached."""
        return _items(await self._request("POST", "/v1/cache-assets/resolve", json={"ids": list(ids)}))

    async def cache_assets(self, **filters: str | int | None) -> dict[str, Any]:
        """One page of cached media: {"data": […], "next_cursor": …}. Filters: status, updated_before, cursor …"""
        return await self._request("GET", "/v1/cache-assets", params=_present(**filters))

    async def cache_stats(self, *, owner: str | None = None) -> dict[str, Any]:
        """Counts, bytes and hits of the cache; `owner`: only of that one, for admins."""
        return _content(await self._request("GET", "/v1/cache-assets/stats", params=_present(owner=owner)))

    async def retry_failed_downloads(self) -> int:
        """Retry every failed download of the cache; their number."""
        return await self._count("/v1/cache-assets/retry-failed")

    async def clean_up_cache(self, *, older_than_days: float) -> int:
        """Delete cached media that has not changed for so long; their number."""
        return await self._count("/v1/cache-assets/cleanup", {"older_than_days": older_than_days})

    async def collect_garbage(self, *, dry_run: bool, older_than_days: float = 1.0) -> dict[str, Any]:
        """Remove unreferenced files, and report them. Needs an admin's token."""
        body = {"dry_run": dry_run, "older_than_days": older_than_days}
        return _content(await self._request("POST", "/v1/store/gc", json=body))

    async def playback(self, asset_id: str) -> dict[str, Any]:
        """Signed absolute URLs of an asset, valid for an hour; null where there is none. Raises NotFound."""
        signed = _content(await self._request("POST", f"/v1/assets/{quote(asset_id, safe='')}/playback", json={}))
        return {**signed, **{name: self._absolute(signed[name]) for name in ("master_url", "poster_url")}}

    def _absolute(self, url: str | None) -> str | None:
        return url and urljoin(f"{self.url}/", url)

    async def search(self, text: str, *, mode: str | None = None, limit: int | None = None) -> dict[str, Any]:
        """Search the transcripts: {"data": [passage, …], "mode": …, "left_out"?: […]}."""
        return await self._request("GET", "/v1/search", params=_present(q=text, mode=mode, limit=limit))

    async def file(self, asset_id: str, key: str) -> bytes:
        """The content of an artifact, by its key in the outputs. Raises NotFound."""
        path = key.removeprefix(f"assets/{asset_id}/")
        url = f"{self.url}/media/{quote(asset_id, safe='')}/{quote(path)}"
        async with self._mapped(), self._session.get(url) as response:
            content = await response.read()
            if response.status >= 400:
                raise rejection(response.status, _decoded(content))
            return content

    async def follow(self, job_id: str, *, after: str | None = None) -> AsyncIterator[Job]:
        """The job now and after every change, progress included, until it has ended. Survives restarts of the service.

        Raises NotFound when the job does not exist or is deleted meanwhile.
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
        """Frames of `/v1/live`, without end: a lost connection is resumed by cursor, so no change is missed.

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
        params = _present(subscribe=subscribe, cursor=cursor)
        async with (
            self._mapped(),
            self._session.ws_connect(f"{self.url}/v1/live", params=params, heartbeat=20) as socket,
        ):
            async for frame in socket:
                if frame.type is aiohttp.WSMsgType.TEXT:
                    yield json.loads(frame.data)

    async def _request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        async with self._mapped(), self._session.request(method, self.url + path, **options) as response:
            body = _decoded(await response.read())
            if response.status >= 400:
                raise rejection(response.status, body)
            return body

    @asynccontextmanager
    async def _mapped(self) -> AsyncIterator[None]:
        """Map aiohttp's errors to ClientError."""
        try:
            yield
        except aiohttp.WSServerHandshakeError as error:
            raise rejection(error.status, {"title": error.message}) from error
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(f"not running at {self.url}: start it with `kinolog up`") from error
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise Unreachable(f"{self.url} cannot be reached: {str(error) or type(error).__name__}") from error

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._open is None:
            raise RuntimeError("use Client as an async context manager")
        return self._open


async def _chunks(path: Path, on_sent: Callable[[int], None] | None) -> AsyncIterator[bytes]:
    sent_bytes = 0
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
            sent_bytes += len(chunk)
            if on_sent is not None:
                on_sent(sent_bytes)


def _job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _present(**options: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in options.items() if value is not None}


def _idempotency(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}


def _content(response: dict[str, Any]) -> Job:
    return cast(Job, response["data"])


def _items(response: dict[str, Any]) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], response["data"])


def _submitted(response: dict[str, Any]) -> Submitted:
    content = response["data"]
    return Submitted(content["asset_id"], content["job_id"], response.get("cursor") or content.get("cursor"))


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body) if body else {}
    except ValueError:  # a proxy's page: the status is enough
        return {}
    return content if isinstance(content, dict) else {}


def checked_url(url: str) -> str:
    """`url` without a slash at the end. Raises InvalidUrl when it is not http(s) with a host."""
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise InvalidUrl(f"{url!r} is not the URL of a service: write it like http://127.0.0.1:8080")
    return url.rstrip("/")

"""Checks of the services: store, Redis, the web interface, the processes of `kinolog up`."""

import asyncio
import contextlib
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import aiohttp
from aiokafka.errors import KafkaError
from obstore.exceptions import BaseError
from yarl import URL

from processors.storage.bucket_store import BucketStore
from processors.storage.bucket_versions import Kept, deleted_objects_kept
from processors.storage.errors import StoreError
from processors.storage.keys import OWNER_KEY
from processors.storage.local_store import LocalStore
from processors.storage.object_store import ObjectStore
from processors.storage.owner_mark import ForeignStore, owner
from streams.doctor.cluster import running_log
from streams.doctor.diagnosis import Finding, fine, problem, unreachable, warning
from streams.doctor.machine import existing
from streams.kafka.installation import this_installation
from streams.process.folders import store_folder, write_error
from streams.process.ports import refusal
from streams.settings import Settings
from streams.supervisor import run_dir
from streams.supervisor.restarts import is_looping

#: Response timeout.
_TIMEOUT_S = 5.0
#: Without a proxy: the web interface is on this machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_CORS_REMEDY = "Add a CORS rule for the page's origin to the bucket, or set KINOLOG_STORE__REDIRECT=false."
#: By the name of redis-py's exception: the library is optional.
_REDIS_REMEDIES = {
    "ReadOnlyError": "It is a replica: KINOLOG_REDIS__URL must lead to the primary, also after a failover.",
    "OutOfMemoryError": "Set maxmemory-policy allkeys-lru, or give it more memory: nothing in it must last.",
    "NoPermissionError": "Allow its user `~{prefix}* +@read +@write +@scripting +@transaction +@connection +info`.",
    "AuthenticationError": "KINOLOG_REDIS__URL needs a user and a password: redis://user:password@host:6379/0.",
}
_NO_OWNER_REMEDY = "Start web. If it has run before, mount the store's volume, or correct KINOLOG_STORE__URL."
_VERSIONS_REMEDY = "Add a lifecycle rule to the bucket that removes them: NoncurrentVersionExpiration, e.g. one day."
_STORE_REMEDY = "Check KINOLOG_STORE__URL, the AWS_… variables and the permissions of the bucket."


async def store(settings: Settings) -> Finding:
    """Whether objects can be written to the store and deleted again, and whether it is this installation's."""
    if (folder := store_folder(settings)) is not None:
        finding = await asyncio.to_thread(_folder, folder)
        return await _of_owner(settings, LocalStore(folder), finding) if folder.exists() else finding
    url = settings.store_url
    try:
        bucket = BucketStore(url, retry_s=_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001 - obstore has many errors for invalid URLs
        return problem(f"{url}: {error}", _STORE_REMEDY)
    try:
        async with asyncio.timeout(2 * _TIMEOUT_S):
            await _try_bucket(bucket)
    except (StoreError, TimeoutError) as error:
        return unreachable(f"{url}: {str(error) or 'no response'}", _STORE_REMEDY)
    finding = await _of_owner(settings, bucket, fine(f"{url} is writable"))
    return finding if finding.level != "ok" else await _with_versions(url, finding)


async def _of_owner(settings: Settings, store: ObjectStore, finding: Finding) -> Finding:
    """A problem if the store belongs to another installation, a warning if it belongs to none yet, else `finding`."""
    if finding.level != "ok" or (cluster := running_log(settings)) is None:
        return finding
    try:
        installation = await this_installation(settings.with_cluster(cluster))
        current = await owner(store)
    except ForeignStore as error:
        return problem(str(error))
    except (KafkaError, OSError, StoreError):  # reported by the check of the log, or by a writer
        return finding
    if current is None:
        return warning(f"{finding.message}, but has no {OWNER_KEY}, which web writes to a new store.", _NO_OWNER_REMEDY)
    return finding if current == installation else problem(str(ForeignStore.of(current)))


async def _with_versions(url: str, finding: Finding) -> Finding:
    """A warning if the bucket keeps what is deleted, else `finding`."""
    kept: Kept = "unknown"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_TIMEOUT_S):
            kept = await deleted_objects_kept(url)
    if kept == "for ever":
        return warning(f"{url} keeps old versions of objects: media of deleted assets remains.", _VERSIONS_REMEDY)
    if isinstance(kept, int):
        return fine(f"{finding.message}; media of deleted assets remains as old versions for {kept} days")
    return finding


def _folder(folder: Path) -> Finding:
    nearest = existing(folder)
    if error := write_error(nearest):
        return problem(
            f"{nearest} is not writable: {error.strerror}.", "Change its permissions, or set KINOLOG_STORE__URL."
        )
    return fine(f"{folder} is writable")


async def _try_bucket(bucket: BucketStore) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"kinolog doctor was here"

    key = f"doctor/{uuid.uuid4().hex}"
    await bucket.put(key, content(), 1024)
    await bucket.delete_prefix(key)


async def cors(settings: Settings) -> Finding:
    """Whether the bucket's CORS rules allow the page to read media. Source: Fetch Standard, CORS preflight."""
    if store_folder(settings) is not None or not settings.store.redirect:
        return fine("Not needed: the web interface serves media itself.")
    page = next(iter(settings.web.cors_origins), run_dir.web_url(settings))
    try:
        bucket = BucketStore(settings.store_url, retry_s=_TIMEOUT_S, public_endpoint=settings.store.public_endpoint)
        async with asyncio.timeout(_TIMEOUT_S):
            allowed = await _allowed_origin(await bucket.presigned("GET", f"doctor/{uuid.uuid4().hex}", 60), page)
    except (StoreError, aiohttp.ClientError, OSError, BaseError) as error:
        return warning(f"The bucket did not respond: {str(error) or 'no response'}", _STORE_REMEDY)
    if allowed in ("*", page):
        return fine(f"The bucket allows pages of {page}")
    return warning(f"The bucket does not allow pages of {page}: the page cannot play media.", _CORS_REMEDY)


async def _allowed_origin(url: str, page: str) -> str | None:
    headers = {"Origin": page, "Access-Control-Request-Method": "GET"}
    async with aiohttp.ClientSession() as session, session.options(URL(url, encoded=True), headers=headers) as response:
        return response.headers.get("Access-Control-Allow-Origin")


async def redis(settings: Settings) -> Finding:
    """Redis, if configured: whether it takes what executors and web write."""
    if settings.redis.url is None:
        return fine("Not configured: each executor has its own limits and single-flight.")
    try:
        from processors.shared_redis import RedisUnavailable, SharedRedis
    except ImportError:
        return problem(
            "KINOLOG_REDIS__URL is set, but the client library is not installed.", "Run `pip install 'kinolog[redis]'`."
        )
    try:
        shared = SharedRedis(settings.redis.url, settings.redis.timeout_s)
    except ValueError as error:
        return problem(f"KINOLOG_REDIS__URL: {error}")
    try:
        is_cluster = await shared.check(settings.redis_prefix)
    except RedisUnavailable as error:
        refused = _REDIS_REMEDIES.get(type(error.__cause__).__name__)
        if refused is not None:
            return problem(f"Redis refuses to write: {error}", refused.format(prefix=settings.redis_prefix))
        return unreachable(f"Redis does not respond: {error}", "Start it, or unset KINOLOG_REDIS__URL.")
    else:
        return fine("Redis is a cluster, and takes writes" if is_cluster else "Redis takes writes")
    finally:
        await shared.close()


async def web(settings: Settings) -> Finding:
    """The web interface, or its port while it is not running."""
    url = run_dir.kept_url(settings) or run_dir.web_url(settings)
    if run_dir.is_up(settings):
        response = await asyncio.to_thread(_response, f"{url}/readyz")
        return _readiness(url, response) or unreachable(f"{url} does not respond.", "See the log of `kinolog up`.")
    refused = await asyncio.to_thread(refusal, settings.web.port, settings.web.host) if settings.web.port else None
    if refused is None:
        return fine("Not running.")
    response = await asyncio.to_thread(_response, f"{url}/readyz") if refused.is_taken else None
    return _readiness(url, response) or problem(refused.reason, refused.remedy)


class Response(NamedTuple):
    """An HTTP response."""

    status: int
    body: bytes


def _readiness(url: str, response: Response | None) -> Finding | None:
    if response is not None and response.status == 503:
        return warning(f"{url} is not ready: {_reason(response.body)}", "Try again in a moment, then see the logs.")
    return fine(f"{url} responds") if response is not None and response.status == 200 else None


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return "no reason given"


def _response(url: str) -> Response | None:
    """The response; None if the connection fails."""
    try:
        with _DIRECT.open(url, timeout=_TIMEOUT_S) as response:
            return Response(int(response.status), response.read())
    except urllib.error.HTTPError as error:
        return Response(error.code, error.read())
    except OSError:
        return None


async def parts(settings: Settings) -> Finding:
    """Whether a process of the running `kinolog up` is in a crash loop."""
    ends = await asyncio.to_thread(run_dir.kept_ends, settings)
    looping = [f"{name} {history.how}" for name, history in ends.items() if is_looping(history, time.time())]
    if looping:
        return problem(f"Crash loop: {'; '.join(looping)}.", "See its log lines before each exit.")
    exits = ", ".join(f"{name} {history.ends} times" for name, history in ends.items())
    return fine(f"Unexpected exits so far: {exits}" if exits else "No unexpected exits.")

"""Checks of what answers over a socket, or should: store, Redis, the log and its topics, the web interface."""

import asyncio
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
from processors.storage.errors import StoreError
from streams.broker.files import kept_port
from streams.doctor.diagnosis import Finding, fine, problem, unreachable, warning
from streams.doctor.machine import existing
from streams.kafka.admin import TopicsError, TopicsReport, compare_topics
from streams.kafka.executor_groups import executors_by_step, untaken
from streams.process.folders import store_folder, write_error
from streams.process.ports import is_free
from streams.settings import Settings
from streams.supervisor import run_dir
from streams.supervisor.restarts import is_looping

#: Longest wait for one answer.
_ANSWER_S = 5.0
#: Past any proxy: what is asked runs on this machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_CORS_REMEDY = "give the bucket a CORS rule for the page's origin, or set KINOLOG_STORE__REDIRECT=false"
_STORE_REMEDY = "check KINOLOG_STORE__URL, the AWS_… variables and the rights on the bucket"


async def store(settings: Settings) -> Finding:
    """Whether media can be stored, and removed again."""
    if (folder := store_folder(settings)) is not None:
        return await asyncio.to_thread(_folder, folder)
    url = settings.store_url
    try:
        bucket = BucketStore(url, retry_s=_ANSWER_S)
    except Exception as error:  # noqa: BLE001 - obstore has many for addresses that it does not understand
        return problem(f"{url}: {error}", _STORE_REMEDY)
    try:
        async with asyncio.timeout(2 * _ANSWER_S):
            await _try_bucket(bucket)
    except (StoreError, TimeoutError) as error:
        return unreachable(f"{url}: {str(error) or 'no answer'}", _STORE_REMEDY)
    return fine(f"{url} can be written and read")


def _folder(folder: Path) -> Finding:
    nearest = existing(folder)
    if error := write_error(nearest):
        return problem(f"{nearest} is not writable: {error.strerror}", "change its rights, or set KINOLOG_STORE__URL")
    return fine(f"{folder} can be written")


async def _try_bucket(bucket: BucketStore) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"kinolog doctor was here"

    key = f"doctor/{uuid.uuid4().hex}"
    await bucket.put(key, content(), 1024)
    await bucket.delete_prefix(key)


async def cors(settings: Settings) -> Finding:
    """Whether a bucket lets the page read what it is sent there for. Source: Fetch Standard, CORS preflight."""
    if store_folder(settings) is not None or not settings.store.redirect:
        return fine("not needed: media is served by web itself")
    page = next(iter(settings.web.cors_origins), run_dir.web_url(settings))
    try:
        bucket = BucketStore(settings.store_url, retry_s=_ANSWER_S, public_endpoint=settings.store.public_endpoint)
        async with asyncio.timeout(_ANSWER_S):
            allowed = await _allowed_origin(await bucket.presigned("GET", f"doctor/{uuid.uuid4().hex}", 60), page)
    except (StoreError, aiohttp.ClientError, OSError, BaseError) as error:
        return warning(f"the bucket did not respond: {str(error) or 'no answer'}", _STORE_REMEDY)
    if allowed in ("*", page):
        return fine(f"pages of {page} may read the bucket")
    return warning(f"pages of {page} may not read the bucket: the page would play nothing", _CORS_REMEDY)


async def _allowed_origin(url: str, page: str) -> str | None:
    headers = {"Origin": page, "Access-Control-Request-Method": "GET"}
    async with aiohttp.ClientSession() as session, session.options(URL(url, encoded=True), headers=headers) as answer:
        return answer.headers.get("Access-Control-Allow-Origin")


async def redis(settings: Settings) -> Finding:
    """Redis, where one is set."""
    if settings.redis.url is None:
        return fine("not set: each executor keeps its own limits and single-flight")
    try:
        from redis.asyncio import Redis
        from redis.exceptions import RedisError
    except ImportError:
        return problem("KINOLOG_REDIS__URL is set and its library is missing", "pip install 'kinolog[redis]'")
    timeout_s = settings.redis.timeout_s
    try:
        async with Redis.from_url(
            settings.redis.url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
        ) as client:
            await client.ping()
    except ValueError as error:
        return problem(f"KINOLOG_REDIS__URL: {error}")
    except (RedisError, OSError) as error:
        return unreachable(f"Redis does not answer: {error}", "start it, or unset KINOLOG_REDIS__URL")
    return fine("Redis answers")


async def log(settings: Settings) -> Finding:
    """The log and its topics, where it should be there; the port for it, where `kinolog up` would start it."""
    if (bootstrap := _running_log(settings)) is not None:
        return await _topics(settings, bootstrap)
    if settings.kafka.port and not is_free(settings.kafka.port):
        said = f"port {settings.kafka.port} is in use, so that `kinolog up` cannot start its broker"
        return problem(said, "end that process, or set KINOLOG_KAFKA__PORT (0: a free one)")
    return fine("not running; `kinolog up` starts it")


def _running_log(settings: Settings) -> str | None:
    """Where the log should answer; None where nothing should."""
    if settings.kafka.bootstrap is not None:
        return settings.kafka.bootstrap
    return f"127.0.0.1:{kept_port(settings.data_path / 'kafka')}" if run_dir.is_up(settings) else None


async def queues(settings: Settings) -> Finding:
    """Whether some executor takes the requests of each step."""
    if (bootstrap := _running_log(settings)) is None:
        return fine("not running")
    try:
        executors = await _executors_by_step(settings, bootstrap)
    except (KafkaError, OSError, TimeoutError):
        return warning("not known: the log does not answer")
    if executors is None:
        return warning("not known: the executors are sharing out their queues", "run it again in a moment")
    if not any(executors.values()):
        return warning("no executor is running: all jobs wait", "start one: `kinolog executor`")
    if idle := untaken(executors):
        remedy = "start an executor that has them: see KINOLOG_EXECUTOR__LANES, and the executors' versions"
        return warning(f"no executor takes {', '.join(idle)}: jobs with these steps wait", remedy)
    return fine(f"the queue of each step has an executor, at most {max(executors.values())}")


async def _executors_by_step(settings: Settings, bootstrap: str) -> dict[str, int] | None:
    """Counted again for a while as long as a group rebalances."""
    deadline = time.monotonic() + _ANSWER_S
    while (found := await executors_by_step(settings, bootstrap)) is None and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
    return found


async def _topics(settings: Settings, bootstrap: str) -> Finding:
    try:
        report = await compare_topics(settings, bootstrap, within_s=_ANSWER_S)
    except TopicsError as error:
        return unreachable(str(error)) if error.code == "unreachable" else problem(str(error))
    return _compared(report, bootstrap, settings)


def _compared(report: TopicsReport, bootstrap: str, settings: Settings) -> Finding:
    if report.created:
        few = ", ".join(report.created[:3]) + (", …" if len(report.created) > 3 else "")
        return problem(f"{len(report.created)} topics are missing on {bootstrap}: {few}", "`kinolog topics apply`")
    if report.altered:
        return warning(f"topics differ on {bootstrap}: {'; '.join(report.altered)}", "`kinolog topics apply`")
    if report.too_few_replicas:
        remedy = "add replicas with kafka-reassign-partitions.sh, or set KINOLOG_KAFKA__REPLICATION_FACTOR"
        return warning(f"{'; '.join(report.too_few_replicas)}, on {bootstrap}", remedy)
    kept = f"; left as they are: {'; '.join(report.differing)}" if report.differing else ""
    return fine(f"{bootstrap} answers; all topics are there, with {settings.partitions} partitions{kept}")


async def web(settings: Settings) -> Finding:
    """The web interface, where it should be there; the port for it otherwise."""
    url = run_dir.kept_url(settings) or run_dir.web_url(settings)
    if run_dir.is_up(settings):
        response = await asyncio.to_thread(_response, f"{url}/readyz")
        return _answered(url, response) or unreachable(f"{url} does not answer", "see the log of `kinolog up`")
    if not settings.web.port or await asyncio.to_thread(is_free, settings.web.port, settings.web.host):
        return fine("not running")
    response = await asyncio.to_thread(_response, f"{url}/readyz")
    taken = problem(f"port {settings.web.port} is in use by something else", "end it, or set KINOLOG_WEB__PORT")
    return _answered(url, response) or taken


class Response(NamedTuple):
    """What came back over HTTP."""

    status: int
    body: bytes


def _answered(url: str, response: Response | None) -> Finding | None:
    if response is not None and response.status == 503:
        return warning(f"{url} is not ready: {_reason(response.body)}", "look again in a moment, then at the logs")
    return fine(f"{url} answers") if response is not None and response.status == 200 else None


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return "it does not say why"


def _response(url: str) -> Response | None:
    """What HTTP has to say there; None when nobody answers."""
    try:
        with _DIRECT.open(url, timeout=_ANSWER_S) as answer:
            return Response(int(answer.status), answer.read())
    except urllib.error.HTTPError as error:
        return Response(error.code, error.read())
    except OSError:
        return None


async def parts(settings: Settings) -> Finding:
    """Whether a part of the running `kinolog up` ends again and again."""
    ends = await asyncio.to_thread(run_dir.kept_ends, settings)
    looping = [f"{name} {found.how}" for name, found in ends.items() if is_looping(found, time.time())]
    if looping:
        said = f"crash loop: {'; '.join(looping)}, and is started again each time"
        return problem(said, "read what it logs before it ends")
    told = ", ".join(f"{name} {found.ends} times" for name, found in ends.items())
    return fine(f"ended by themselves so far: {told}" if told else "none has ended by itself")

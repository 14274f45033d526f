"""`kinolog web`: one replica of the HTTP interface. The only place where its parts are put together."""

import asyncio
import contextlib
import logging
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
from aiohttp import web
from aiohttp.typedefs import Middleware
from aiokafka.errors import KafkaError

from processors.storage.object_store import MULTIPART_AGE_S, NotStored, Store, StoreError
from streams.data_files import pipelines_dir
from streams.kafka.producer import Producer
from streams.kafka.topics import names
from streams.model_backends.embedding import embeddings
from streams.process.exit import EX_SOFTWARE
from streams.process.folders import require_data_dir, require_store, require_writable
from streams.process.logs import configure
from streams.process.sd_notify import ready
from streams.process.tasks import cancel_all
from streams.process.watchdog import LoopBeat, Watch, Watchdog
from streams.settings import Settings, SettingsError
from streams.worker import patch_fetch_wait, patch_metadata_retry
from tables.pipelines import InvalidPipeline, load_keeping, load_pipelines
from tables.submissions import Refused
from web.api.documents import add_documents
from web.api.uploads import tus
from web.auth.api_tokens import TokenLog
from web.auth.audit import Audit, auditing
from web.auth.middleware import Authenticator, authentication
from web.auth.signed_urls import Signer, signing_key
from web.auth.tickets import Tickets
from web.background import cache_eviction
from web.background.retention import JobRetention
from web.cache.usage import CacheUsage
from web.http.bucket_origin import BucketOrigin
from web.http.metrics import Metrics, measuring
from web.http.middleware import compressed, conditional, cors, limits, settling, share_answer
from web.http.problems import ERROR_TABLE, HTTP_ERRORS, ErrorTable, Problem, not_found, problems, unavailable
from web.http.routing import add_routes
from web.http.security_headers import add_headers, identified
from web.live.changelog_follower import Follower
from web.live.control_watch import ControlWatch
from web.live.hub import GOING_AWAY, Hub
from web.live.progress import Progress
from web.live.progress_follower import ProgressFollower
from web.live.sessions import Sessions
from web.readmodel import queries
from web.readmodel.commands import Commands
from web.readmodel.event_index import EventIndex
from web.readmodel.event_indexer import EventIndexer
from web.readmodel.event_log import EventLog
from web.readmodel.log_clock import LogClock
from web.readmodel.position import Position
from web.readmodel.queue_executors import QueueExecutors
from web.readmodel.read_model import Damaged, ReadModel, ReplicaInUse
from web.route_list import ROUTES
from web.search.index import SearchIndex
from web.search.indexer import Indexer
from web.search.query_embedder import QueryVectors
from web.services import SERVICES, Services
from web.upload_staging.journal import Journal

if TYPE_CHECKING:  # its library is an extra
    from web.cache.shared_usage import CacheSharing

log = logging.getLogger("kinolog.web")

#: Beyond what web/http/middleware.py refuses itself, so that it is the one who answers. Source: aiohttp's web.Server
#: options.
SERVER_OPTIONS: dict[str, Any] = {"max_line_size": 64 * 1024, "max_field_size": 128 * 1024}
_CONNECT_AGAIN_S = 1.0
#: Seconds that requests are given to end after SIGTERM.
_DRAIN_S = 1.0
_JANITOR_S = 3600.0

#: In this order: NotStored is a StoreError.
_ERRORS: ErrorTable = {
    Refused: lambda error: Problem(422, error.code, str(error)),
    NotStored: lambda _: not_found("file"),
    StoreError: lambda _: unavailable("store-unavailable", "the object store cannot be reached: try again later", 5),
    Damaged: lambda _: unavailable("read-model-behind", "the jobs are being read from the log: try again", 2),
    **HTTP_ERRORS,
}

#: Resolves to the error of a background task that must not end.
BROKEN: web.AppKey[asyncio.Future[None]] = web.AppKey("broken", asyncio.Future)


def main(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT: 0. 2: the settings cannot be used; 1: the port is taken; 70: a part broke."""
    configure(settings, "web")
    patch_fetch_wait.install()
    patch_metadata_retry.install()
    try:
        require_data_dir(settings)
        require_store(settings)
        if settings.web.tus_dir:
            require_writable(Path(settings.web.tus_dir), "KINOLOG_WEB__TUS_DIR")
        app = make_app(settings)
    except (InvalidPipeline, ReplicaInUse, SettingsError) as error:
        log.error("cannot start", extra={"reason": str(error)})  # noqa: TRY400  the sentence says it all
        return 2
    except (OSError, sqlite3.Error) as error:  # a full disk, perhaps: it may be better at the next start
        log.error("cannot start now", extra={"reason": str(error)})  # noqa: TRY400  likewise
        return EX_SOFTWARE
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(app, settings))


async def _serve(app: web.Application, settings: Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    beat = LoopBeat()
    beating = asyncio.create_task(beat.run())
    Watchdog([Watch("its event loop is blocked", beat, settings.watchdog.loop_s)]).start()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_DRAIN_S, lingering_time=2.0, **SERVER_OPTIONS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.web.host, settings.web.port, backlog=1024)
        await site.start()
        log.info("listening", extra={"url": f"http://{_address(runner)}"})
        return await _until(stop, app)
    except OSError as error:
        log.error("cannot listen", extra={"host": settings.web.host, "port": settings.web.port, "reason": str(error)})  # noqa: TRY400
        return 1
    finally:
        await runner.cleanup()
        beating.cancel()


async def _until(stop: asyncio.Event, app: web.Application) -> int:
    ended: list[asyncio.Future[Any]] = [asyncio.create_task(stop.wait()), app[BROKEN]]
    saying = asyncio.create_task(_say_ready(app))
    await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
    saying.cancel()
    return 0 if stop.is_set() else EX_SOFTWARE


async def _say_ready(app: web.Application) -> None:
    await app[SERVICES].position.caught_up.wait()
    ready()


def _address(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"{host}:{port}"


def make_app(settings: Settings) -> web.Application:
    """The application; its background tasks run from start-up to clean-up. Raises InvalidPipeline, ReplicaInUse."""
    parts = make_services(settings)
    app = web.Application(
        middlewares=_middlewares(settings, parts),
        client_max_size=settings.web.max_body_bytes,
    )
    app[SERVICES] = parts
    app[ERROR_TABLE] = _ERRORS
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(share_answer)
    app.on_shutdown.append(_dismiss)
    app.cleanup_ctx.append(_background)
    add_routes(app, ROUTES)
    add_documents(app)
    return app


def _middlewares(settings: Settings, parts: Services) -> list[Middleware]:
    """The outermost first: what is refused further in is still measured, recorded and told as a problem."""
    return [
        identified,
        measuring(parts.metrics),
        cors(settings.web.cors_origins),
        compressed,
        conditional,
        auditing(parts.audit, settings.web.trusted_proxies),
        problems,
        limits(settings.web),
        authentication(parts.door),
        settling(parts.progress_follower.resumed),
    ]


def make_services(settings: Settings) -> Services:
    """The parts of the process; nothing of it runs yet."""
    home = settings.data_path / "web"
    pipelines = load_pipelines(pipelines_dir(settings))
    position, progress = Position(names(settings).commands), Progress()
    model = ReadModel(home / f"{settings.web.replica}.sqlite3", settings.web.live_history, progress.live)
    hub = Hub(position, progress, settings.web.live_queue_bytes)
    key = signing_key(settings.auth.signing_secret, home / "signing.key")
    notary = Producer(settings, f"kinolog-web-{settings.web.replica}-notary")
    tokens, tickets = TokenLog(settings, notary), Tickets(key)
    door = Authenticator(settings, tokens, tickets)
    store = Store(settings.store_url, public_endpoint=settings.store.public_endpoint)
    follower = Follower(settings, model, position, progress, hub)
    index = SearchIndex(home / f"{settings.web.replica}.search")
    event_index = EventIndex(home / f"{settings.web.replica}.events")
    commands = Commands(settings, position)
    follower.clock = clock = LogClock(commands.date)
    cache = CacheUsage(clock.now_or_none)
    follower.listener = indexer = Indexer(model, position, store, index)
    control = ControlWatch(settings, position, time.monotonic)
    progress_follower = ProgressFollower(settings, model, progress, hub, control.reported)
    follower.before_reading = progress_follower.settled
    return Services(
        settings=settings,
        pipelines=pipelines,
        store=store,
        bucket_origin=BucketOrigin(store, redirect=settings.store.redirect),
        model=model,
        position=position,
        progress=progress,
        hub=hub,
        commands=commands,
        clock=clock,
        follower=follower,
        control=control,
        progress_follower=progress_follower,
        events=EventLog(settings, event_index),
        event_index=event_index,
        event_indexer=EventIndexer(settings, model, position, event_index),
        journal=Journal(home / f"{settings.web.replica}.uploads"),
        tokens=tokens,
        tickets=tickets,
        door=door,
        sessions=Sessions(door),
        audit=Audit(settings, notary),
        notary=notary,
        metrics=Metrics(),
        signer=Signer(key),
        index=index,
        indexer=indexer,
        query_vectors=QueryVectors(embeddings(settings), settings.embed.query_timeout_s),
        queue_executors=QueueExecutors(settings),
        cache=cache,
        cache_sharing=_cache_sharing(settings, cache),
    )


def _cache_sharing(settings: Settings, cache: CacheUsage) -> "CacheSharing | None":
    redis = settings.redis
    if redis.url is None:
        return None
    try:
        from web.cache.shared_usage import CacheSharing
    except ImportError as error:
        raise SettingsError('KINOLOG_REDIS__URL: the library is missing: pip install "kinolog[redis]"') from error
    return CacheSharing(redis.url, redis.timeout_s, cache)


async def _dismiss(app: web.Application) -> None:
    app[SERVICES].hub.dismiss_all(GOING_AWAY, closing=True)


async def _background(app: web.Application) -> AsyncIterator[None]:
    parts = app[SERVICES]
    app[BROKEN] = broken = asyncio.get_running_loop().create_future()
    works: list[Callable[[], Coroutine[Any, Any, None]]] = [
        parts.follower.run,
        parts.progress_follower.run,
        parts.control.run,
        parts.hub.tell_queues,
        parts.commands.run,
        parts.clock.run,
        parts.tokens.run,
        parts.sessions.run,
        lambda: _record(parts),
        parts.indexer.run,
        parts.event_indexer.run,
        lambda: _clean_up_again_and_again(parts),
        lambda: tus.sweep_again_and_again(parts),
        lambda: _evict(parts),
        janitor(parts).run,
    ]
    if parts.cache_sharing is not None:
        works.append(parts.cache_sharing.run)
    tasks = [asyncio.create_task(work()) for work in works]
    for task in tasks:
        task.add_done_callback(lambda ended: _note(ended, broken))
    yield
    await cancel_all(tasks)
    await parts.query_vectors.close()
    await parts.queue_executors.close()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.to_thread(parts.model.close)
        await asyncio.to_thread(parts.index.close)
        await asyncio.to_thread(parts.event_index.close)


def _note(ended: asyncio.Task[None], broken: asyncio.Future[None]) -> None:
    """A part that must not end has: the process goes down and is started again, the log repairs the rest."""
    if ended.cancelled() or broken.done():
        return
    log.critical("a part of the process broke", exc_info=ended.exception())
    broken.set_result(None)


async def _evict(parts: Services) -> None:
    await cache_eviction.evict_again_and_again(parts)
    await asyncio.Event().wait()  # without a bound there is nothing to do, and a part that ends is a broken one


async def _record(parts: Services) -> None:
    """Connect the notary, then write the audit."""
    try:
        while not await _connected(parts.notary):
            await asyncio.sleep(_CONNECT_AGAIN_S)
        await parts.audit.run()
    finally:
        await parts.notary.stop(1.0)


async def _connected(producer: Producer) -> bool:
    try:
        await producer.start()
    except (KafkaError, OSError) as error:
        log.warning("no broker yet", extra={"reason": str(error)})
        await producer.stop(1.0)
        return False
    return True


def janitor(parts: Services) -> JobRetention:
    """What forgets old jobs."""
    keeping = load_keeping(pipelines_dir(parts.settings))
    return JobRetention(parts.settings.retention, keeping, parts)


async def _clean_up_again_and_again(parts: Services) -> None:
    await parts.position.caught_up.wait()
    while True:
        try:
            await parts.clock.within(_JANITOR_S)
            await clean_up(parts)
        except (OSError, StoreError, Problem) as error:
            log.warning("the store cannot be cleaned up now", extra={"error": str(error)})
        await asyncio.sleep(_JANITOR_S)


async def clean_up(parts: Services) -> None:
    """Remove what killed processes left in the store. Raises OSError, StoreError, Problem (503)."""

    async def refers(asset_id: str, key: str) -> bool:
        asset = await parts.model.read(queries.asset, asset_id)
        return asset is not None and asset.input.object == key

    now = parts.clock.earlier()
    await parts.store.sweep(now)
    await parts.store.end(await parts.store.unfinished(MULTIPART_AGE_S, now) or ())
    await parts.journal.repair(parts.store, refers, now)

"""`kinolog web`: one replica of the HTTP interface. The only place where its parts are put together."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import uvloop
from aiohttp import web

from processors.store import Store, StoreError
from streams.embedding import embeddings
from streams.logs import configure
from streams.notify import ready
from streams.places import pipelines_dir
from streams.settings import Settings, SettingsError
from streams.topics import names
from tables.pipelines import InvalidPipeline, load_pipelines
from web import assets, health, jobs, live, media, pages, queries, search, stats, uploads
from web.auth import Tokens, authentication
from web.commands import Commands
from web.follower import Follower
from web.headers import add_headers, identified
from web.hub import GOING_AWAY, Hub
from web.indexer import Indexer
from web.journal import Journal
from web.position import Position
from web.problems import problems
from web.progress import Progress
from web.progress_follower import ProgressFollower
from web.query_vectors import QueryVectors
from web.read_model import ReadModel, ReplicaInUse
from web.search_index import SearchIndex
from web.services import SERVICES, Services
from web.signing import Signer, signing_key

log = logging.getLogger("kinolog.web")

_NOUNS = (assets, health, jobs, live, media, pages, search, stats, uploads)
#: Largest JSON body.
_BODY_BYTES = 4 * 1024**2
#: Seconds that requests are given to end after SIGTERM.
_DRAIN_S = 1.0
_JANITOR_S = 3600.0

#: Resolves to the error of a background task that must not end.
BROKEN: web.AppKey[asyncio.Future[None]] = web.AppKey("broken", asyncio.Future)


def main(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT: 0. 2: the settings cannot be used; 1: the port is taken; 70: a part broke."""
    configure(settings, "web")
    try:
        app = make_app(settings)
    except (InvalidPipeline, ReplicaInUse, SettingsError) as error:
        log.error("cannot start", extra={"reason": str(error)})  # noqa: TRY400  the sentence says it all
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(app, settings))


async def _serve(app: web.Application, settings: Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_DRAIN_S, lingering_time=2.0)
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


async def _until(stop: asyncio.Event, app: web.Application) -> int:
    ended: list[asyncio.Future[Any]] = [asyncio.create_task(stop.wait()), app[BROKEN]]
    saying = asyncio.create_task(_say_ready(app))
    await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
    saying.cancel()
    return 0 if stop.is_set() else 70


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
        middlewares=[identified, problems, authentication(parts.tokens)],  # the outermost first
        client_max_size=_BODY_BYTES,
    )
    app[SERVICES] = parts
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(_dismiss)
    app.cleanup_ctx.append(_background)
    for noun in _NOUNS:
        noun.add_routes(app)
    return app


def make_services(settings: Settings) -> Services:
    """The parts of the process; nothing of it runs yet."""
    home = settings.data_path / "web"
    pipelines = load_pipelines(pipelines_dir(settings))
    model = ReadModel(home / f"{settings.web.replica}.sqlite3", settings.web.live_history)
    position, progress = Position(names(settings).commands), Progress()
    hub = Hub(position, progress, settings.web.live_queue_bytes)
    store = Store(settings.store_url)
    follower = Follower(settings, model, position, progress, hub)
    index = SearchIndex(home / f"{settings.web.replica}.search")
    follower.listener = indexer = Indexer(model, position, store, index)
    return Services(
        settings=settings,
        pipelines=pipelines,
        store=store,
        model=model,
        position=position,
        progress=progress,
        hub=hub,
        commands=Commands(settings, position),
        follower=follower,
        progress_follower=ProgressFollower(settings, progress, hub),
        journal=Journal(home / f"{settings.web.replica}.uploads"),
        tokens=Tokens(settings.auth),
        signer=Signer(signing_key(settings.auth.signing_secret, home / "signing.key")),
        index=index,
        indexer=indexer,
        query_vectors=QueryVectors(embeddings(settings), settings.embed.query_timeout_s),
    )


async def _dismiss(app: web.Application) -> None:
    app[SERVICES].hub.dismiss_all(GOING_AWAY, closing=True)


async def _background(app: web.Application) -> AsyncIterator[None]:
    parts = app[SERVICES]
    app[BROKEN] = broken = asyncio.get_running_loop().create_future()
    works: list[Callable[[], Coroutine[Any, Any, None]]] = [
        parts.follower.run,
        parts.progress_follower.run,
        parts.commands.run,
        parts.indexer.run,
        lambda: _clean_up_again_and_again(parts),
    ]
    tasks = [asyncio.create_task(work()) for work in works]
    for task in tasks:
        task.add_done_callback(lambda ended: _note(ended, broken))
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await parts.query_vectors.close()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.to_thread(parts.model.close)
        await asyncio.to_thread(parts.index.close)


def _note(ended: asyncio.Task[None], broken: asyncio.Future[None]) -> None:
    """A part that must not end has: the process goes down and is started again, the log repairs the rest."""
    if ended.cancelled() or broken.done():
        return
    log.critical("a part of the process broke", exc_info=ended.exception())
    broken.set_result(None)


async def _clean_up_again_and_again(parts: Services) -> None:
    async def refers(asset_id: str, key: str) -> bool:
        asset = await parts.model.read(queries.asset, asset_id)
        return asset is not None and asset.input.object == key

    await parts.position.caught_up.wait()
    while True:
        try:
            await parts.store.sweep()
            await parts.journal.repair(parts.store, refers)
        except (OSError, StoreError) as error:
            log.warning("the store cannot be cleaned up now", extra={"error": str(error)})
        await asyncio.sleep(_JANITOR_S)
